//! The operator against ONNX Runtime's, bit for bit.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::super::SessionPlan;
use super::super::session::Session;
use super::super::shared::SharedModel;
use super::super::{Batch, InputShape, Library};
use crate::onnx::builder::{int_attribute, ints_attribute};
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::{Element, GraphBuilder};
use crate::pipeline::Output;
use crate::pipeline::preprocess::Pixels;

static LIBRARY: OnceLock<Library> = OnceLock::new();

/// A network of three convolutions: from three channels, of each channel, and of each pixel.
#[derive(Debug, Clone)]
struct RandomNetwork {
    input: [usize; 2],
    images: usize,
    channels: usize,
    outputs: usize,
    layers: [RandomLayer; 3],
    seed: u64,
    threads: usize,
}

#[derive(Debug, Clone)]
struct RandomLayer {
    window: usize,
    strides: [usize; 2],
    pads: [usize; 4],
    zero: u8,
}

fn networks() -> impl Strategy<Value = RandomNetwork> {
    let layer = |windows: Vec<usize>| {
        let window = proptest::sample::select(windows);
        let [strides, pads] = [1..=3_usize, 0..=2];
        (window, [strides.clone(), strides], proptest::array::uniform4(pads), any::<u8>())
            .prop_map(|(window, strides, pads, zero)| RandomLayer { window, strides, pads, zero })
    };
    let sizes = ([17..34_usize, 17..34], 1..=3_usize, 1..=2_usize);
    // The kernels read channels in groups of four, and write them in groups of 16.
    let channels = prop_oneof![1..90_usize, (1..23_usize).prop_map(|fours| 4 * fours)];
    let layers = (layer(vec![1, 2, 3, 5]), layer(vec![2, 3, 3, 5, 5]), layer(vec![1]));
    (sizes, channels, 1..150_usize, layers, any::<u64>()).prop_map(
        |((input, images, threads), channels, outputs, (first, second, third), seed)| {
            let third = RandomLayer { pads: [0; 4], ..third };
            let layers = [first, second, third];
            RandomNetwork { input, images, channels, outputs, layers, seed, threads }
        },
    )
}

/// Bytes of a sequence that depends on the seed only.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            self.0.to_be_bytes()[0]
        };
        (0..count).map(|_| next()).collect()
    }

    fn scales(&mut self, count: usize, largest: f32) -> Vec<f32> {
        let bytes = self.bytes(count);
        bytes.into_iter().map(|byte| largest * (f32::from(byte) + 1.0) / 256.0).collect()
    }
}

impl RandomNetwork {
    fn model(&self) -> Vec<u8> {
        let mut noise = Noise(self.seed);
        let mut graph = GraphBuilder::new("convolutions");
        let [height, width] = self.input;
        let pixels = graph.input("pixels", Element::Uint8, &[height, width, 3], "");
        let order = [ints_attribute("perm", &[0, 3, 1, 2])];
        graph.node("Transpose", "planes", &[&pixels], order);
        graph.constant("0.scale", &[], &[0.017]);
        graph.raw_constant("0.zero", DataType::Uint8, &[], vec![114]);
        graph.node("DequantizeLinear", "0.float", &["planes", "0.scale", "0.zero"], []);
        for (number, layer) in self.layers.iter().enumerate() {
            self.layer(&mut graph, &mut noise, layer, number);
        }
        graph.node("Flatten", "logits", &["3.float"], []);
        graph.node("Identity", "probabilities", &["logits"], []);
        for output in ["logits", "probabilities"] {
            graph.output(output, output, &[self.width()], "");
        }
        graph.finish("", &[]).to_bytes()
    }

    /// From the value `{number}.float` to the next.
    fn layer(
        &self,
        graph: &mut GraphBuilder,
        noise: &mut Noise,
        layer: &RandomLayer,
        number: usize,
    ) {
        let groups = [1, self.channels, 1][number];
        let channels = [self.channels, self.channels, self.outputs][number];
        let depth = [3, 1, self.channels][number];
        let side = layer.window;
        let shape = [channels, depth, side, side];
        let name = |part: &str| format!("{number}.{part}");
        let weights = noise.bytes(shape.iter().product());
        graph.raw_constant(&name("int8"), DataType::Int8, &shape, weights);
        let weight_scales = noise.scales(channels, 0.01);
        graph.constant(&name("scales"), &[channels], &weight_scales);
        graph.raw_constant(&name("zeros"), DataType::Int8, &[channels], vec![0; channels]);
        let axis = || [int_attribute("axis", 0)];
        let [ints, scales, zeros] = [name("int8"), name("scales"), name("zeros")];
        graph.node("DequantizeLinear", &name("weights"), &[&ints, &scales, &zeros], axis());
        let x_scale = if number == 0 { 0.017 } else { 0.02 };
        let sums: Vec<f32> = weight_scales.iter().map(|scale| scale * x_scale).collect();
        graph.constant(&name("sums"), &[channels], &sums);
        let bias = noise.bytes(channels).into_iter();
        let bias: Vec<u8> =
            bias.flat_map(|byte| (i32::from(byte) * 60 - 7000).to_le_bytes()).collect();
        graph.raw_constant(&name("int32"), DataType::Int32, &[channels], bias);
        graph.node("DequantizeLinear", &name("bias"), &[&name("int32"), &name("sums")], axis());
        let [input, weights, bias] = [name("float"), name("weights"), name("bias")];
        let attributes = [
            ints_attribute("kernel_shape", &[side, side]),
            ints_attribute("strides", &layer.strides),
            ints_attribute("pads", &layer.pads),
            int_attribute("group", groups),
        ];
        graph.node("Conv", &name("conv"), &[&input, &weights, &bias], attributes);
        let next = |part: &str| format!("{}.{part}", number + 1);
        graph.constant(&next("scale"), &[], &[0.02]);
        graph.raw_constant(&next("zero"), DataType::Uint8, &[], vec![layer.zero]);
        let [levels, scale, zero] = [next("uint8"), next("scale"), next("zero")];
        graph.node("QuantizeLinear", &levels, &[&name("conv"), &scale, &zero], []);
        graph.node("DequantizeLinear", &next("float"), &[&levels, &scale, &zero], []);
    }

    /// Values of an image's output.
    fn width(&self) -> usize {
        let side = |side: usize, layer: &RandomLayer, axis: usize| {
            (side + layer.pads[axis] + layer.pads[axis + 2] - layer.window) / layer.strides[axis]
                + 1
        };
        let sides = [0, 1].map(|axis| {
            self.layers.iter().fold(self.input[axis], |length, layer| side(length, layer, axis))
        });
        self.outputs * sides[0] * sides[1]
    }

    fn batch(&self) -> Batch {
        let [height, width] = self.input;
        let shape = InputShape { height, width };
        let mut batch = Batch::with_capacity(shape, self.images);
        let size = self.input.map(|side| u32::try_from(side).unwrap());
        for image in Noise(!self.seed).bytes(self.images * shape.bytes()).chunks(shape.bytes()) {
            batch.push(&Pixels::from_raw(size, image.to_vec()).unwrap());
        }
        batch
    }
}

fn bits(session: &mut Session, batch: &Batch) -> Vec<u32> {
    let outputs = session.run(batch).unwrap();
    outputs.rows(Output::Logits).concat().into_iter().map(f32::to_bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// All convolutions are replaced, so that those without a fast kernel test the portable code.
    #[test]
    fn convolutions_have_the_bits_of_onnx_runtime(network in networks()) {
        let library = LIBRARY.get_or_init(|| Library::load(None).unwrap());
        let wanted = [Output::Logits];
        let plan = SessionPlan::on_cpu(network.threads);
        let model = network.model();
        let mut theirs = Session::open(library, &model, plan, &wanted).unwrap();
        let shared = SharedModel::optimize(library, &model, |_| true).unwrap();
        let replaced = shared.replaced.as_ref().unwrap();
        prop_assert_eq!(replaced.convolutions(), 3);
        let mut own = shared.open_replaced(library, replaced, plan, &wanted).unwrap();
        let batch = network.batch();
        prop_assert_eq!(bits(&mut own, &batch), bits(&mut theirs, &batch));
    }
}
