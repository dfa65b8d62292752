//! Rewrites a float32 graph to int8 arithmetic, in ONNX's QDQ form.
//!
//! Between `QuantizeLinear` and `DequantizeLinear` a value is uint8, with one scale; weights are int8 with a
//! scale for each output channel; biases are int32. ONNX Runtime fuses each operator between the two into one
//! integer operation. Values stay uint8 from the first convolution to the classifier, whose scores are
//! float32 again.

use std::collections::{BTreeMap, HashMap};

use super::pixels::PixelNormalization;
use super::range::{Range, Steps};
use crate::graph::emit::NORMALIZED;
use crate::onnx::builder::int_attribute;
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::{NodeProto, TensorProto};
use crate::onnx::{GraphBuilder, OnnxModel};

/// The ranges of the quantized values, by name.
pub type Ranges = BTreeMap<String, Range>;

/// Converts the float32 graph of `model`, which resnetd built, to int8 arithmetic. Values that are not in
/// `ranges` get the range from 0 to 0.
#[must_use]
pub fn quantize(model: &OnnxModel, ranges: &Ranges) -> OnnxModel {
    rewrite(model, ranges).0
}

/// The names of the values whose ranges [`quantize`] needs.
#[must_use]
pub fn targets(model: &OnnxModel) -> Vec<String> {
    rewrite(model, &Ranges::new()).1
}

fn rewrite(model: &OnnxModel, ranges: &Ranges) -> (OnnxModel, Vec<String>) {
    let graph = model.graph();
    let mut rewriter = Rewriter {
        constants: graph.initializer.iter().map(|tensor| (tensor.name(), tensor)).collect(),
        makers: graph.node.iter().map(|node| (node.output[0].as_str(), node)).collect(),
        readers: readers(&graph.node),
        ranges,
        pixels: PixelNormalization::of(graph),
        built: GraphBuilder::new(graph.name()),
        quantized: HashMap::new(),
        asked: Vec::new(),
        uses: 0,
    };
    for node in &graph.node {
        rewriter.node(node);
    }
    for output in &graph.output {
        rewriter.graph_output(output.name());
    }
    (rewriter.built.finish_as(model), rewriter.asked)
}

/// A value as uint8.
#[derive(Debug, Clone)]
struct Quantized {
    /// Its name.
    tensor: String,
    /// The float32 value that it was quantized from.
    from: String,
    /// The names of its scale and zero point.
    constants: [String; 2],
    steps: Steps,
}

/// The graph under construction.
struct Rewriter<'a> {
    constants: HashMap<&'a str, &'a TensorProto>,
    makers: HashMap<&'a str, &'a NodeProto>,
    readers: HashMap<&'a str, Vec<&'a NodeProto>>,
    ranges: &'a Ranges,
    pixels: Option<PixelNormalization>,
    built: GraphBuilder,
    /// Values that are uint8 in the new graph. All others are float32 and keep their names.
    quantized: HashMap<String, Quantized>,
    asked: Vec<String>,
    uses: usize,
}

impl<'a> Rewriter<'a> {
    fn node(&mut self, node: &NodeProto) {
        let output = &node.output[0];
        if self.pixels.is_some() && PixelNormalization::replaces(output) {
            if output == NORMALIZED {
                self.pixels();
            }
            return;
        }
        match node.op_type() {
            "Conv" => match self.only_reader(output) {
                // Only the output of the classifier is flattened after a convolution.
                Some(reader) if reader.op_type() == "Flatten" => {
                    self.classifier(node, &reader.output[0]);
                }
                _ => self.convolution(node),
            },
            "Add" | "Mul" | "Gelu" | "AveragePool" | "GlobalAveragePool" => {
                let inputs = node.input.iter().map(|input| self.dequantized(input)).collect();
                self.requantized(node, inputs);
            }
            "Sigmoid" if output != "probabilities" => {
                let inputs = vec![self.dequantized(&node.input[0])];
                let between_0_and_1 = Range::new(0.0, 1.0);
                self.keep_and_quantize(node, inputs, output, between_0_and_1);
            }
            // These operators only move or select elements, so they work on uint8 unchanged.
            "MaxPool" | "Flatten" if self.quantized.contains_key(&node.input[0]) => {
                self.keep_in_uint8(node, output);
            }
            // Fused into the previous operator, whose calibrated range is within the bounds of the clip.
            "Relu" | "Clip" if self.quantized.contains_key(output) => {}
            "Flatten" if self.is_classifier(&node.input[0]) => {}
            _ => {
                let inputs = node.input.iter().map(|input| self.float(input)).collect();
                self.keep_constants(node);
                self.built.keep_node(node, inputs);
            }
        }
    }

    /// The network's input as uint8.
    fn pixels(&mut self) {
        let range = self.range(NORMALIZED);
        let Some(pixels) = &self.pixels else { return };
        let [tensor, rows] = ["uint8", "rows.uint8"].map(|part| format!("{NORMALIZED}.{part}"));
        let raw_pixel_steps = pixels.raw_pixel_steps();
        let steps = raw_pixel_steps.unwrap_or_else(|| range.steps());
        let built = &mut self.built;
        let constants = steps_constants(built, NORMALIZED, steps);
        let from = if raw_pixel_steps.is_some() {
            PixelNormalization::planes(built, &tensor, "pixels");
            "pixels".to_owned()
        } else {
            let float = pixels.normalized_rows(built, "pixels");
            let [scale, zero] = &constants;
            built.node("QuantizeLinear", &rows, &[&float, scale, zero], []);
            pixels.planes_of_rows(built, &tensor, &rows);
            float
        };
        let quantized = Quantized { tensor, from, constants, steps };
        self.quantized.insert(NORMALIZED.to_owned(), quantized);
    }

    /// Adds a convolution with int8 weights. A ReLU after it is fused.
    fn convolution(&mut self, node: &NodeProto) {
        let (x, weight) = (&node.input[0], &node.input[1]);
        let bias = node.input.get(2);
        let steps = self.as_uint8(x).steps;
        let x = self.dequantized(x);
        let scales = self.weights(weight, bias, steps);
        let bias = bias.map(|bias| self.bias(bias, &scales));
        self.requantized(node, [x, format!("{weight}.float")].into_iter().chain(bias).collect());
    }

    /// Adds the last linear layer: an integer matrix product, converted to float32.
    ///
    /// Integer sums do not depend on the order, so an image has the same scores alone and in a batch.
    fn classifier(&mut self, node: &NodeProto, flat: &str) {
        let [x, weight, bias] = [0, 1, 2].map(|input| &node.input[input]);
        let x = self.as_uint8(x);
        let rows = format!("{}.rows", x.tensor);
        self.built.node("Flatten", &rows, &[&x.tensor], []);
        let x = Quantized { tensor: rows, ..x };
        let scales = self.weights(weight, Some(bias), x.steps);
        let bias = self.bias(bias, &scales);
        let x = self.dequantize(&x);
        let transposed = [int_attribute("transB", 1)];
        self.built.node("Gemm", flat, &[&x, &format!("{weight}.float"), &bias], transposed);
    }

    /// Adds int8 weights with a scale for each output channel, dequantized as `{name}.float`. Returns the
    /// scales of the sums for an input of `steps`.
    fn weights(&mut self, name: &str, bias: Option<&String>, steps: Steps) -> Vec<f32> {
        let tensor = self.constants[name];
        let values: Vec<f32> = tensor.floats().collect();
        let shape: Vec<usize> = match (sizes(tensor), self.matrix(name)) {
            (shape, true) => vec![shape[0], shape[1..].iter().product()],
            (shape, false) => shape,
        };
        let channels = shape[0];
        let biases = bias.map_or_else(
            || vec![0.0; channels],
            |bias| self.constants[bias.as_str()].floats().collect(),
        );
        let mut bytes = Vec::with_capacity(values.len());
        let mut scales = Vec::with_capacity(channels);
        for (channel, bias) in values.chunks_exact(values.len() / channels).zip(biases) {
            let scale = weight_scale(channel, bias, steps.scale);
            bytes.extend(channel.iter().map(|value| rounded_to_int8(value / scale)));
            scales.push(scale);
        }
        let [ints, scale, zeros] = ["int8", "scales", "zeros"].map(|part| format!("{name}.{part}"));
        let built = &mut self.built;
        built.raw_constant(&ints, DataType::Int8, &shape, bytes);
        built.constant(&scale, &[channels], &scales);
        built.raw_constant(&zeros, DataType::Int8, &[channels], vec![0; channels]);
        let axis = [int_attribute("axis", 0)];
        let inputs = [ints.as_str(), &scale, &zeros];
        built.node("DequantizeLinear", &format!("{name}.float"), &inputs, axis);
        scales.iter().map(|scale| scale * steps.scale).collect()
    }

    /// Whether these are the weights of the classifier, which are reshaped to a matrix.
    fn matrix(&self, weight: &str) -> bool {
        self.readers[weight].iter().any(|reader| self.is_classifier(&reader.output[0]))
    }

    fn is_classifier(&self, value: &str) -> bool {
        self.makers.get(value).is_some_and(|node| node.op_type() == "Conv")
            && self.only_reader(value).is_some_and(|reader| reader.op_type() == "Flatten")
    }

    /// Adds a bias as int32 with `scales`; returns the name of the dequantized value.
    fn bias(&mut self, name: &str, scales: &[f32]) -> String {
        let values: Vec<f32> = self.constants[name].floats().collect();
        let bytes: Vec<u8> = values
            .iter()
            .zip(scales)
            .flat_map(|(value, scale)| rounded_to_int32(value / scale).to_le_bytes())
            .collect();
        let [ints, scale, float] =
            ["int32", "scales", "float"].map(|part| format!("{name}.{part}"));
        let built = &mut self.built;
        built.raw_constant(&ints, DataType::Int32, &[values.len()], bytes);
        built.constant(&scale, &[values.len()], scales);
        built.node("DequantizeLinear", &float, &[&ints, &scale], [int_attribute("axis", 0)])
    }

    /// Keeps an operator between the two conversions. If its only consumer is a ReLU, that is fused into the
    /// second conversion, whose range then begins at 0.
    fn requantized(&mut self, node: &NodeProto, inputs: Vec<String>) {
        let output = &node.output[0];
        match self.only_reader(output) {
            Some(relu) if ["Relu", "Clip"].contains(&relu.op_type()) => {
                let range = self.range(&relu.output[0]).rectified();
                self.keep_and_quantize(node, inputs, &relu.output[0], range);
            }
            _ => {
                let range = self.range(output);
                self.keep_and_quantize(node, inputs, output, range);
            }
        }
    }

    /// Keeps an operator, and quantizes its output over `range` as `value`.
    fn keep_and_quantize(
        &mut self,
        node: &NodeProto,
        inputs: Vec<String>,
        value: &str,
        range: Range,
    ) {
        let float = format!("{}.float", node.output[0]);
        let node =
            NodeProto { name: Some(float.clone()), output: vec![float.clone()], ..node.clone() };
        self.built.keep_node(&node, inputs);
        self.quantize(value, &float, range);
    }

    /// Keeps an operator that works on uint8 and does not change scale and zero point.
    fn keep_in_uint8(&mut self, node: &NodeProto, output: &str) {
        let x = self.quantized[&node.input[0]].clone();
        let tensor = format!("{output}.uint8");
        let node =
            NodeProto { name: Some(tensor.clone()), output: vec![tensor.clone()], ..node.clone() };
        self.built.keep_node(&node, vec![x.tensor.clone()]);
        self.quantized.insert(output.to_owned(), Quantized { tensor, ..x });
    }

    /// Adds the graph's output `name`, as float32.
    fn graph_output(&mut self, name: &str) {
        if let Some(value) = self.quantized.get(name).filter(|value| value.from != name) {
            let [scale, zero] = &value.constants;
            self.built.node("DequantizeLinear", name, &[&value.tensor, scale, zero], []);
        }
    }

    /// A value as float32.
    fn float(&mut self, name: &str) -> String {
        match self.quantized.get(name).cloned() {
            Some(value) => self.dequantize(&value),
            None => name.to_owned(),
        }
    }

    /// A value as float32 after quantization.
    fn dequantized(&mut self, name: &str) -> String {
        let value = self.as_uint8(name);
        self.dequantize(&value)
    }

    /// A value as uint8; quantizes it if necessary.
    fn as_uint8(&mut self, name: &str) -> Quantized {
        if !self.quantized.contains_key(name) {
            let range = self.range(name);
            self.quantize(name, name, range);
        }
        self.quantized[name].clone()
    }

    /// Adds `QuantizeLinear`, from the float32 value `float` to the uint8 form of `value`.
    fn quantize(&mut self, value: &str, float: &str, range: Range) {
        let steps = range.steps();
        let tensor = format!("{value}.uint8");
        let built = &mut self.built;
        let [scale, zero] = steps_constants(built, value, steps);
        built.node("QuantizeLinear", &tensor, &[float, &scale, &zero], []);
        let quantized =
            Quantized { tensor, from: float.to_owned(), constants: [scale, zero], steps };
        self.quantized.insert(value.to_owned(), quantized);
    }

    /// Adds a `DequantizeLinear` for one consumer: ONNX Runtime fuses only values with a single
    /// consumer.
    fn dequantize(&mut self, value: &Quantized) -> String {
        self.uses += 1;
        let name = format!("{}.float.{}", value.tensor, self.uses);
        let [scale, zero] = &value.constants;
        self.built.node("DequantizeLinear", &name, &[&value.tensor, scale, zero], [])
    }

    fn range(&mut self, value: &str) -> Range {
        self.asked.push(value.to_owned());
        self.ranges.get(value).copied().unwrap_or(Range::new(0.0, 0.0))
    }

    /// The only node that reads a value, if there is exactly one.
    fn only_reader(&self, value: &str) -> Option<&'a NodeProto> {
        match self.readers.get(value)?.as_slice() {
            [reader] => Some(reader),
            _ => None,
        }
    }

    fn keep_constants(&mut self, node: &NodeProto) {
        for constant in node.input.iter().filter_map(|input| self.constants.get(input.as_str())) {
            self.built.keep_constant(constant);
        }
    }
}

/// Adds the scale and the zero point of a value.
fn steps_constants(built: &mut GraphBuilder, value: &str, steps: Steps) -> [String; 2] {
    let [scale, zero] = ["scale", "zero_point"].map(|part| format!("{value}.{part}"));
    built.constant(&scale, &[], &[steps.scale]);
    built.raw_constant(&zero, DataType::Uint8, &[], vec![steps.zero_point]);
    [scale, zero]
}

fn readers(nodes: &[NodeProto]) -> HashMap<&str, Vec<&NodeProto>> {
    let mut readers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
    for node in nodes {
        for input in &node.input {
            readers.entry(input).or_default().push(node);
        }
    }
    readers
}

/// The scale of the weights of one output channel. The largest weight becomes 127, and the bias must fit
/// int32 with the scale of the sums.
fn weight_scale(weights: &[f32], bias: f32, input_scale: f32) -> f32 {
    let largest = weights.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let for_bias = bias.abs() / 2.0_f32.powi(30) / input_scale;
    let scale = (largest / 127.0).max(for_bias);
    if scale.is_normal() { scale } else { 1.0 }
}

#[expect(clippy::cast_possible_truncation, reason = "rounded and within the range")]
fn rounded_to_int8(value: f32) -> u8 {
    (value.round_ties_even().clamp(-127.0, 127.0) as i8).cast_unsigned()
}

#[expect(clippy::cast_possible_truncation, reason = "the scale keeps it below 2^30")]
fn rounded_to_int32(value: f32) -> i32 {
    value.round_ties_even() as i32
}

fn sizes(tensor: &TensorProto) -> Vec<usize> {
    tensor.dims.iter().map(|&size| usize::try_from(size).expect("our own shape")).collect()
}
