//! A network and its weights as an ONNX model.
//!
//! The file takes pixels as they come off a picture and does the rest itself, so that what is
//! served is what was exported: uint8 `[N, H, W, 3]` in, classes out.

use super::fold::{BatchNorm, fold};
use super::layer::{Layer, LayerKind, kernel_shape};
use super::network::Network;
use crate::onnx::builder::{int_attribute, ints_attribute};
use crate::onnx::proto::{Attribute, DataType};
use crate::onnx::{Element, GraphBuilder, Model};
use crate::weights::CheckedWeights;

/// What the model file says beyond the network and its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct EmitPlan {
    /// Height and width of the pictures, in pixels.
    pub input: [u32; 2],
    /// How pixels become the network's input.
    pub normalize: Normalize,
    /// Keys and values for the file.
    pub metadata: Vec<(String, String)>,
}

/// The input's normalisation, per channel in the order RGB: `(pixel / 255 − mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalize {
    /// Mean of the training pictures, from 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of the training pictures, from 0 to 1.
    pub std: [f32; 3],
}

/// Writes the network with its weights as an ONNX model.
///
/// Input `pixels`, uint8 `[N, H, W, 3]`, RGB. Outputs, all float32:
/// `logits` `[N, classes]`, `probabilities` `[N, classes]`, their softmax,
/// `embedding` `[N, C]`, the pooled features, and
/// `feature_map` `[N, C, h, w]`, the last block's output.
/// [`Model::keep_outputs`] drops those that are not wanted.
///
/// # Panics
/// If `weights` were not checked against [`Network::tensors`] of this network.
#[must_use]
pub fn emit(network: &Network, weights: &CheckedWeights, plan: &EmitPlan) -> Model {
    let name = network.architecture.name;
    let mut emitter = Emitter { graph: GraphBuilder::new(name), network, weights, plan };

    let mut values: Vec<String> = Vec::with_capacity(network.layers.len());
    for layer in &network.layers {
        let inputs: Vec<&str> = layer.inputs.iter().map(|&input| values[input].as_str()).collect();
        let value = emitter.layer(layer, &inputs);
        values.push(value);
    }
    emitter.outputs(&values);

    let [height, width] = plan.input;
    let doc = format!("{name}, {height}×{width} pixels, {} classes", network.classes);
    emitter.graph.finish(&doc, &plan.metadata)
}

/// The graph while it grows, and what it is made from.
struct Emitter<'a> {
    graph: GraphBuilder,
    network: &'a Network,
    weights: &'a CheckedWeights,
    plan: &'a EmitPlan,
}

impl Emitter<'_> {
    /// Adds a layer's nodes; returns the name of the value it gives.
    fn layer(&mut self, layer: &Layer, inputs: &[&str]) -> String {
        let name = &layer.name;
        match layer.kind {
            LayerKind::Pixels => self.pixels(),
            // Every convolution is followed by its batch norm, and the two become one node there.
            LayerKind::Convolution { .. } => inputs[0].to_owned(),
            LayerKind::BatchNorm { .. } => {
                let convolution = &self.network.layers[layer.inputs[0]];
                self.folded_convolution(convolution, name, inputs[0])
            }
            LayerKind::Relu => self.graph.node("Relu", name, inputs, []),
            LayerKind::MaxPool => self.graph.node("MaxPool", name, inputs, window(3, 2)),
            LayerKind::HalvingPool => self.halving_pool(name, inputs[0]),
            LayerKind::ZeroPad { from, padding } => self.zero_pad(name, inputs[0], from, padding),
            LayerKind::Add => self.graph.node("Add", name, inputs, []),
            LayerKind::AveragePool => self.graph.node("GlobalAveragePool", name, inputs, []),
            LayerKind::Linear { from, to } => self.linear(name, inputs[0], from, to),
        }
    }

    /// uint8 `[N, H, W, 3]` to normalised float32 `[N, 3, H, W]`.
    ///
    /// Not folded into the first convolution: that pads with zeros after the normalisation, as in
    /// training, and a bias cannot know how much of its window is padding.
    fn pixels(&mut self) -> String {
        let [height, width] = self.plan.input;
        let shape = [height as usize, width as usize, 3];
        let Normalize { mean, std } = self.plan.normalize;
        let graph = &mut self.graph;

        let pixels = graph.input("pixels", Element::Uint8, &shape, "RGB, row by row");
        let planes = [ints_attribute("perm", &[0, 3, 1, 2])];
        let x = graph.node("Transpose", "pixels.planes", &[&pixels], planes);
        let float = [int_attribute("to", DataType::Float as usize)];
        let x = graph.node("Cast", "pixels.float", &[&x], float);
        let mean = graph.constant("pixels.mean", &[1, 3, 1, 1], &mean.map(|mean| 255.0 * mean));
        let std = graph.constant("pixels.std", &[1, 3, 1, 1], &std.map(|std| 255.0 * std));
        let x = graph.node("Sub", "pixels.centred", &[&x, &mean], []);
        graph.node("Div", "pixels.normalized", &[&x, &std], [])
    }

    /// A convolution with its batch norm, as one convolution with a bias.
    fn folded_convolution(&mut self, convolution: &Layer, norm: &str, input: &str) -> String {
        let LayerKind::Convolution { from, to } = convolution.kind else {
            unreachable!("a batch norm reads a convolution")
        };
        let vector = |suffix| self.weights.values(&format!("{norm}.{suffix}"));
        let norm = BatchNorm {
            weight: vector("weight"),
            bias: vector("bias"),
            running_mean: vector("running_mean"),
            running_var: vector("running_var"),
        };
        let name = &convolution.name;
        let mut weight = self.weights.values(&format!("{name}.weight"));
        let bias = fold(&mut weight, &norm);

        let shape = kernel_shape(from, to);
        let graph = &mut self.graph;
        let weight = graph.constant(&format!("{name}.weight"), &shape, &weight);
        let bias = graph.constant(&format!("{name}.bias"), &[to.channels], &bias);
        let groups = (to.groups > 1).then(|| int_attribute("group", to.groups));
        let attributes = window(to.kernel, to.stride).into_iter().chain(groups);
        graph.node("Conv", name, &[input, &weight, &bias], attributes)
    }

    fn halving_pool(&mut self, name: &str, input: &str) -> String {
        let attributes = [
            ints_attribute("kernel_shape", &[2; 2]),
            ints_attribute("strides", &[2; 2]),
            int_attribute("ceil_mode", 1),
            int_attribute("count_include_pad", 0),
        ];
        self.graph.node("AveragePool", name, &[input], attributes)
    }

    /// Option A as a 1×1 convolution whose kernel of zeros and ones picks the channels.
    ///
    /// As exact as `Slice` and `Pad`, for it sums one `1 · x` and zeros, and 4 % faster for a
    /// whole resnet20: ONNX Runtime's convolutions work on blocks of channels, which those two
    /// operators would take apart, and the sum that follows becomes part of a convolution.
    fn zero_pad(&mut self, name: &str, input: &str, from: usize, padding: usize) -> String {
        let to = from + 2 * padding;
        let mut kernel = vec![0.0; to * from];
        for channel in 0..from {
            kernel[(padding + channel) * from + channel] = 1.0;
        }
        let graph = &mut self.graph;
        let kernel = graph.constant(&format!("{name}.kernel"), &[to, from, 1, 1], &kernel);
        graph.node("Conv", name, &[input, &kernel], window(1, 2))
    }

    /// The classifier, `[N, from, 1, 1]` to `[N, to]`, as a 1×1 convolution.
    ///
    /// ONNX Runtime multiplies one row with another kernel than many rows, so a matrix product
    /// would give a picture other last bits alone than in a batch. A convolution treats each
    /// picture for itself.
    fn linear(&mut self, name: &str, input: &str, from: usize, to: usize) -> String {
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
        let graph = &mut self.graph;
        graph.constant(&weight, &[to, from, 1, 1], &self.weights.values(&weight));
        graph.constant(&bias, &[to], &self.weights.values(&bias));
        let x = graph.node("Conv", name, &[input, &weight, &bias], window(1, 1));
        graph.node("Flatten", &format!("{name}.flat"), &[&x], [])
    }

    /// Names what comes out; `values` holds every layer's output.
    fn outputs(&mut self, values: &[String]) {
        let sizes = self.network.output_sizes(self.plan.input);
        let [.., map, pooled, logits] = values else {
            unreachable!("a network ends in a block, the average pool and the classifier")
        };
        let map_size = sizes[sizes.len() - 3];
        let (channels, classes) = (map_size[0], self.network.classes);

        let graph = &mut self.graph;
        let softmax = [int_attribute("axis", 1)];
        let probabilities = graph.node("Softmax", "probabilities", &[logits], softmax);
        let embedding = graph.node("Flatten", "embedding", &[pooled], []);
        graph.output("logits", logits, &[classes], "scores before the softmax");
        graph.output("probabilities", &probabilities, &[classes], "their softmax, which sums to 1");
        graph.output("embedding", &embedding, &[channels], "the feature map's mean");
        graph.output("feature_map", map, &map_size, "the last block's output");
    }
}

/// Kernel, stride and zero padding of half the kernel, for convolutions and pools.
fn window(kernel: usize, stride: usize) -> [Attribute; 3] {
    [
        ints_attribute("kernel_shape", &[kernel; 2]),
        ints_attribute("strides", &[stride; 2]),
        ints_attribute("pads", &[kernel / 2; 4]),
    ]
}
