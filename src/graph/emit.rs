//! A network and its weights as an ONNX model.
//!
//! The input is raw pixels, uint8 `[N, H, W, 3]`; normalisation is part of the graph, so that an
//! exported file computes the same as the server.

use super::block::Convolution;
use super::fold::{BatchNorm, fold};
use super::layer::{Layer, LayerKind, kernel_shape};
use super::network::Network;
use super::nodes::{
    across_channels, activation, adaptive_pool, affine, blur, halving_pool, padded_window, window,
    zero_pad,
};
use crate::onnx::builder::{int_attribute, ints_attribute};
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::{Element, GraphBuilder, OnnxModel};
use crate::weights::{CheckedWeights, Framework};

/// Number of groups of a group norm, as in its paper.
const GROUPS: usize = 32;

/// The name of the normalised input of the first convolution, float32 in every precision except int8.
pub(crate) const NORMALIZED: &str = "pixels.normalized";

/// What the model file contains in addition to the network and its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct EmitPlan {
    /// Height and width of the images, in pixels.
    pub input: [u32; 2],
    /// How pixels become the network's input.
    pub normalize: InputNormalization,
    /// Metadata of the file: keys and values.
    pub metadata: Vec<(String, String)>,
    /// Determines how the probabilities are computed.
    pub classes: Classes,
}

/// Whether the classes of a network exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classes {
    /// Single-label: the probabilities are the softmax of the logits.
    Exclusive,
    /// Multi-label: the probabilities are the sigmoids of the logits.
    Independent,
}

/// The input's normalisation, per channel in the order RGB: `(pixel / 255 − mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputNormalization {
    /// Mean of the training images, from 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of the training images, from 0 to 1.
    pub std: [f32; 3],
}

/// Writes the network with its weights as an ONNX model.
///
/// Input `pixels`, uint8 `[N, H, W, 3]`, RGB. Outputs, all float32: `logits` `[N, classes]`, `probabilities`
/// `[N, classes]`, their softmax or sigmoids, `embedding` `[N, C]`, the input of the last linear layer (the
/// pooled features of a residual network), and `feature_map` `[N, C, h, w]`, the input of the pooling.
/// [`OnnxModel::keep_outputs`] removes outputs that are not needed.
///
/// # Panics
///
/// If `weights` were not checked against [`Network::tensors`] of this network.
#[must_use]
pub fn emit(network: &Network, weights: &CheckedWeights, plan: &EmitPlan) -> OnnxModel {
    let name = network.architecture.name;
    let sizes = network.output_sizes(plan.input);
    let mut emitter = Emitter { graph: GraphBuilder::new(name), network, weights, plan, sizes };

    let mut values: Vec<String> = Vec::with_capacity(network.layers.len());
    for (index, layer) in network.layers.iter().enumerate() {
        let inputs: Vec<&str> = layer.inputs.iter().map(|&input| values[input].as_str()).collect();
        let value = emitter.layer(index, &inputs);
        values.push(value);
    }
    emitter.outputs(&values);

    let [height, width] = plan.input;
    let doc = format!("{name}, {height}×{width} pixels, {} classes", network.classes);
    emitter.graph.finish(&doc, &plan.metadata)
}

/// The graph under construction, and its sources.
struct Emitter<'a> {
    graph: GraphBuilder,
    network: &'a Network,
    weights: &'a CheckedWeights,
    plan: &'a EmitPlan,
    /// Channels, height and width of every layer's output.
    sizes: Vec<[usize; 3]>,
}

/// The weights of a convolution.
struct Kernel {
    /// `[out, in / groups, height, width]`.
    shape: [usize; 4],
    weight: Vec<f32>,
    /// One value per output channel; zeros if the layer has no bias.
    bias: Vec<f32>,
}

impl Emitter<'_> {
    /// Adds a layer's nodes; returns the name of its output.
    fn layer(&mut self, index: usize, inputs: &[&str]) -> String {
        let layer = &self.network.layers[index];
        let name = &layer.name;
        match layer.kind {
            LayerKind::Pixels => self.pixels(),
            LayerKind::Convolution { from, to } => {
                // The batch norm's layer emits both as one node.
                let is_folded = self.network.layers.get(index + 1).is_some_and(|next| {
                    matches!(next.kind, LayerKind::BatchNorm { .. }) && next.inputs == [index]
                });
                if is_folded {
                    inputs[0].to_owned()
                } else {
                    self.convolution(layer, inputs[0], from, to)
                }
            }
            LayerKind::BatchNorm { channels, framework } => {
                let convolution = &self.network.layers[layer.inputs[0]];
                let norm = self.norm(name, framework);
                if matches!(convolution.kind, LayerKind::Convolution { .. }) {
                    self.folded_convolution(convolution, &norm, inputs[0])
                } else {
                    debug_assert_eq!(norm.weight.len(), channels, "{name}");
                    self.batch_norm(name, &norm, inputs[0])
                }
            }
            LayerKind::GroupNorm { channels } => {
                let [_, height, width] = self.sizes[layer.inputs[0]];
                self.group_norm(name, inputs[0], [channels, height, width])
            }
            LayerKind::Activation(function) => {
                activation(&mut self.graph, name, inputs[0], function)
            }
            LayerKind::Sigmoid => self.graph.node("Sigmoid", name, inputs, []),
            LayerKind::AcrossChannels { kernel } => {
                let weight = self.weights.values(&format!("{name}.weight"));
                debug_assert_eq!(weight.len(), kernel, "{name}");
                across_channels(&mut self.graph, name, inputs[0], &weight)
            }
            LayerKind::ZeroPad { from, padding } => {
                zero_pad(&mut self.graph, name, inputs[0], from, padding)
            }
            LayerKind::Add => self.graph.node("Add", name, inputs, []),
            LayerKind::Scale => self.graph.node("Mul", name, inputs, []),
            LayerKind::MaxPool { .. }
            | LayerKind::HalvingPool
            | LayerKind::FloorPool
            | LayerKind::Blur { .. }
            | LayerKind::AveragePool { .. } => self.pool(layer, inputs),
            LayerKind::Linear { from, window, to } => {
                self.linear(name, inputs[0], [to, from, window, window])
            }
        }
    }

    /// A pooling layer.
    fn pool(&mut self, layer: &Layer, inputs: &[&str]) -> String {
        let name = &layer.name;
        match layer.kind {
            LayerKind::MaxPool { kernel, stride } => {
                self.graph.node("MaxPool", name, inputs, window(kernel, stride, (kernel - 1) / 2))
            }
            LayerKind::HalvingPool => halving_pool(&mut self.graph, name, inputs[0]),
            LayerKind::FloorPool => self.graph.node("AveragePool", name, inputs, window(2, 2, 0)),
            LayerKind::Blur { channels } => blur(&mut self.graph, name, inputs[0], channels),
            LayerKind::AveragePool { size: 1 } => {
                self.graph.node("GlobalAveragePool", name, inputs, [])
            }
            LayerKind::AveragePool { size } => {
                let [_, height, width] = self.sizes[layer.inputs[0]];
                adaptive_pool(&mut self.graph, name, inputs[0], [height, width], size)
            }
            LayerKind::Pixels
            | LayerKind::Convolution { .. }
            | LayerKind::BatchNorm { .. }
            | LayerKind::GroupNorm { .. }
            | LayerKind::AcrossChannels { .. }
            | LayerKind::Activation(_)
            | LayerKind::Sigmoid
            | LayerKind::ZeroPad { .. }
            | LayerKind::Add
            | LayerKind::Scale
            | LayerKind::Linear { .. } => unreachable!("no pool"),
        }
    }

    /// uint8 `[N, H, W, 3]` to normalised float32 `[N, 3, H, W]`.
    ///
    /// It is not folded into the first convolution. That convolution pads the normalised input with zeros, as
    /// in training; if a bias included the mean, its value would be wrong for windows that contain padding.
    fn pixels(&mut self) -> String {
        let [height, width] = self.plan.input;
        let shape = [height as usize, width as usize, 3];
        let InputNormalization { mean, std } = self.plan.normalize;
        let graph = &mut self.graph;

        let pixels = graph.input("pixels", Element::Uint8, &shape, "RGB, row by row");
        let planes = [ints_attribute("perm", &[0, 3, 1, 2])];
        let x = graph.node("Transpose", "pixels.planes", &[&pixels], planes);
        let float = [int_attribute("to", DataType::Float as usize)];
        let x = graph.node("Cast", "pixels.float", &[&x], float);
        let mean = graph.constant("pixels.mean", &[1, 3, 1, 1], &mean.map(|mean| 255.0 * mean));
        let std = graph.constant("pixels.std", &[1, 3, 1, 1], &std.map(|std| 255.0 * std));
        let x = graph.node("Sub", "pixels.centred", &[&x, &mean], []);
        graph.node("Div", NORMALIZED, &[&x, &std], [])
    }

    /// A batch norm without a convolution before it: a factor and a shift for each channel.
    fn batch_norm(&mut self, name: &str, norm: &BatchNorm, input: &str) -> String {
        // Folded into an identity convolution.
        let channels = norm.weight.len();
        let (mut factor, mut shift) = (vec![1.0; channels], vec![0.0; channels]);
        fold(&mut factor, &mut shift, norm);
        affine(&mut self.graph, name, input, &factor, &shift)
    }

    /// A group norm: normalises each group of channels, then applies each channel's factor and shift.
    fn group_norm(
        &mut self,
        name: &str,
        input: &str,
        [channels, height, width]: [usize; 3],
    ) -> String {
        let group = channels / GROUPS * height * width;
        let grouped = self.graph.reshape(&format!("{name}.grouped"), input, &[GROUPS, group]);
        let graph = &mut self.graph;
        let ones = graph.constant(&format!("{name}.ones"), &[GROUPS], &[1.0; GROUPS]);
        let zeros = graph.constant(&format!("{name}.zeros"), &[GROUPS], &[0.0; GROUPS]);
        // The default epsilon is 1e-5, as in PyTorch.
        let inputs = [&*grouped, &ones, &zeros];
        let x = graph.node("InstanceNormalization", &format!("{name}.normalized"), &inputs, []);
        let x = self.graph.reshape(&format!("{name}.whole"), &x, &[channels, height, width]);
        let vector = |part| self.weights.values(&format!("{name}.{part}"));
        let (factor, shift) = (vector("weight"), vector("bias"));
        affine(&mut self.graph, name, &x, &factor, &shift)
    }

    fn norm(&self, name: &str, framework: Framework) -> BatchNorm {
        let vector = |suffix| self.weights.values(&format!("{name}.{suffix}"));
        BatchNorm {
            weight: vector("weight"),
            bias: vector("bias"),
            running_mean: vector("running_mean"),
            running_var: vector("running_var"),
            epsilon: framework.epsilon(),
        }
    }

    /// A convolution with its batch norm, as one convolution with a bias.
    fn folded_convolution(&mut self, convolution: &Layer, norm: &BatchNorm, input: &str) -> String {
        let LayerKind::Convolution { from, to } = convolution.kind else {
            unreachable!("a batch norm is folded into a convolution")
        };
        let mut kernel = self.kernel(&convolution.name, from, to);
        fold(&mut kernel.weight, &mut kernel.bias, norm);
        self.conv_node(convolution, input, to, &kernel)
    }

    /// A convolution without a batch norm after it.
    fn convolution(&mut self, layer: &Layer, input: &str, from: usize, to: Convolution) -> String {
        let kernel = self.kernel(&layer.name, from, to);
        self.conv_node(layer, input, to, &kernel)
    }

    fn kernel(&self, name: &str, from: usize, to: Convolution) -> Kernel {
        let bias = if to.bias {
            self.weights.values(&format!("{name}.bias"))
        } else {
            vec![0.0; to.channels]
        };
        let weight = self.weights.values(&format!("{name}.weight"));
        Kernel { shape: kernel_shape(from, to), weight, bias }
    }

    fn conv_node(
        &mut self,
        layer: &Layer,
        input: &str,
        to: Convolution,
        kernel: &Kernel,
    ) -> String {
        let name = &layer.name;
        let [_, height, width] = self.sizes[layer.inputs[0]];
        let ([above, below], [left, right]) = (to.zeros(height), to.zeros(width));
        let graph = &mut self.graph;
        let weight = graph.constant(&format!("{name}.weight"), &kernel.shape, &kernel.weight);
        let bias = graph.constant(&format!("{name}.bias"), &[to.channels], &kernel.bias);
        let groups = (to.groups > 1).then(|| int_attribute("group", to.groups));
        let attributes = padded_window(to.kernel, to.stride, [above, left, below, right]);
        let attributes = attributes.into_iter().chain(groups);
        graph.node("Conv", name, &[input, &weight, &bias], attributes)
    }

    /// A linear layer, `[N, from, h, w]` to `[N, to, 1, 1]`, as a convolution of the input's size.
    ///
    /// ONNX Runtime multiplies one row and several rows with different kernels, so with a matrix product the
    /// last bits of an image's scores would depend on the batch. A convolution processes each image
    /// separately.
    fn linear(&mut self, name: &str, input: &str, shape: [usize; 4]) -> String {
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
        let graph = &mut self.graph;
        graph.constant(&weight, &shape, &self.weights.values(&weight));
        graph.constant(&bias, &shape[..1], &self.weights.values(&bias));
        graph.node("Conv", name, &[input, &weight, &bias], window(shape[2], 1, 0))
    }

    /// Declares the outputs; `values` are the names of the outputs of all layers.
    fn outputs(&mut self, values: &[String]) {
        let layers = &self.network.layers;
        let classifier = layers.len() - 1;
        let read = layers[classifier].inputs[0];
        let is_pool = |layer: &Layer| matches!(layer.kind, LayerKind::AveragePool { .. });
        let pool = layers.iter().rposition(is_pool).expect("every network pools its last map");
        let map = layers[pool].inputs[0];
        let (map_size, channels) = (self.sizes[map], self.sizes[read][0]);
        let classes = self.network.classes;

        let graph = &mut self.graph;
        let flat = format!("{}.flat", layers[classifier].name);
        let logits = graph.node("Flatten", &flat, &[&values[classifier]], []);
        let axis = [int_attribute("axis", 1)];
        let (probabilities, docs) = match self.plan.classes {
            Classes::Exclusive => (
                graph.node("Softmax", "probabilities", &[&logits], axis),
                ["scores before the softmax", "their softmax, which sums to 1"],
            ),
            Classes::Independent => (
                graph.node("Sigmoid", "probabilities", &[&logits], []),
                ["scores before the sigmoid", "the sigmoid of each"],
            ),
        };
        let embedding = graph.node("Flatten", "embedding", &[&values[read]], []);
        graph.output("logits", &logits, &[classes], docs[0]);
        graph.output("probabilities", &probabilities, &[classes], docs[1]);
        graph.output("embedding", &embedding, &[channels], "what the last linear layer reads");
        graph.output("feature_map", &values[map], &map_size, "what is pooled");
    }
}
