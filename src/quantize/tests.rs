use super::{Range, Ranges, quantize, targets};
use crate::graph::{Classes, EmitPlan, InputNormalization, Network, arch, emit};
use crate::onnx::OnnxModel;
use crate::weights::Weights;

/// The network with all elements of all tensors 1.
fn model(name: &str) -> OnnxModel {
    let row = arch::find(name).unwrap();
    let network = Network::expand(row, row.classes);
    let specs = network.tensors();
    let ones = specs.iter().map(|spec| {
        (spec.name.clone(), spec.shape.clone(), vec![1.0; spec.shape.iter().product()])
    });
    let weights = Weights::from_tensors(ones).check(&specs).unwrap();
    let normalize = InputNormalization { mean: [0.5; 3], std: [0.25; 3] };
    let classes = Classes::Exclusive;
    let plan = EmitPlan { input: row.input, normalize, metadata: Vec::new(), classes };
    emit(&network, &weights, &plan)
}

fn quantized(name: &str) -> OnnxModel {
    let model = model(name);
    let ranges: Ranges =
        targets(&model).into_iter().map(|name| (name, Range::new(-1.0, 3.0))).collect();
    quantize(&model, &ranges)
}

fn count(model: &OnnxModel, operator: &str) -> usize {
    model.graph().node.iter().filter(|node| node.op_type() == operator).count()
}

/// 21 convolutions (two of them shortcuts), 9 sums, the input and the pooled features.
#[test]
fn every_value_between_two_operators_is_quantized_once() {
    let model = quantized("resnet20");
    assert_eq!(count(&model, "QuantizeLinear"), 21 + 9 + 2);
    assert_eq!(count(&model, "Relu"), 0, "a ReLU is fused into the quantization before it");
    assert_eq!((count(&model, "Conv"), count(&model, "Gemm")), (21, 1));
}

/// `ONNX Runtime` fuses an operator only with conversions that have no other consumer.
#[test]
fn every_dequantized_value_has_one_consumer_or_is_an_output() {
    for name in
        ["resnet20", "resnet18d", "seresnet18", "vgg11_bn", "resnet18-gelu", "resnet18-silu"]
    {
        let model = quantized(name);
        let outputs: Vec<_> = model.outputs().map(str::to_owned).collect();
        for node in model.graph().node.iter().filter(|node| node.op_type() == "DequantizeLinear") {
            let name = &node.output[0];
            let readers = model.graph().node.iter().flat_map(|node| &node.input);
            let readers = readers.filter(|input| *input == name).count();
            assert_eq!(readers, usize::from(!outputs.contains(name)), "{name}");
        }
    }
}

#[test]
fn inputs_outputs_and_metadata_are_unchanged() {
    let (float, int8) = (model("resnet20"), quantized("resnet20"));
    assert!(float.inputs().eq(int8.inputs()));
    assert!(float.outputs().eq(int8.outputs()));
    assert!(float.all_metadata().eq(int8.all_metadata()));
}

#[test]
fn nodes_for_an_unused_output_are_removed() {
    let model = quantized("resnet20").keep_outputs(&["logits"]);
    let names = ["embedding", "feature_map", "probabilities"];
    let nodes = &model.graph().node;
    assert!(nodes.iter().all(|node| !names.contains(&node.output[0].as_str())));
}

/// EfficientNet-Lite's normalisation `(pixel − 127) / 128` equals uint8 with a zero point of 127.
#[test]
fn raw_pixels_are_the_quantized_input_if_the_mean_is_an_integer() {
    let with_mean = |mean| {
        let network = Network::expand(arch::find("resnet20").unwrap(), 10);
        let specs = network.tensors();
        let ones = specs.iter().map(|spec| {
            (spec.name.clone(), spec.shape.clone(), vec![1.0; spec.shape.iter().product()])
        });
        let weights = Weights::from_tensors(ones).check(&specs).unwrap();
        let normalize = InputNormalization { mean, std: [128.0 / 255.0; 3] };
        let classes = Classes::Exclusive;
        let plan = EmitPlan { input: [32, 32], normalize, metadata: Vec::new(), classes };
        quantize(&emit(&network, &weights, &plan), &Ranges::new())
    };
    let exact = with_mean([127.0 / 255.0; 3]);
    assert_eq!((count(&exact, "Div"), count(&exact, "Cast")), (0, 0));
    let graph = exact.graph();
    let constant = |name: &str| graph.initializer.iter().find(|it| it.name() == name).unwrap();
    assert_eq!(constant("pixels.normalized.zero_point").raw_data(), [127]);
    let scale = constant("pixels.normalized.scale").floats().next().unwrap();
    assert!((scale * 128.0 - 1.0).abs() < 1e-6, "{scale}");
    assert_eq!(count(&with_mean([0.4, 0.5, 0.5]), "Div"), 1);
}
