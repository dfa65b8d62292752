//! Converts a graph to float16, for devices with float16 arithmetic.

use std::collections::{HashMap, HashSet};

use half::f16;

use super::emit::NORMALIZED;
use crate::onnx::builder::int_attribute;
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::{AttributeProto, NodeProto, TensorProto, ValueInfoProto};
use crate::onnx::{GraphBuilder, OnnxModel};

/// Weights that are too large for float16.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} has weights beyond ±65504, the largest float16; use fp32")]
pub struct TooLarge {
    /// The constant.
    pub name: String,
}

/// The graph of `model`, which resnetd built in float32, with weights and layers in float16.
///
/// The normalisation and the computation of the probabilities stay float32, and all outputs are float32.
///
/// # Errors
///
/// [`TooLarge`] if a weight would become infinite.
pub fn to_half(model: &OnnxModel) -> Result<OnnxModel, TooLarge> {
    let graph = model.graph();
    let outputs: HashSet<&str> = graph.output.iter().map(ValueInfoProto::name).collect();
    let constants: HashMap<&str, &TensorProto> =
        graph.initializer.iter().map(|tensor| (tensor.name(), tensor)).collect();

    let mut built = GraphBuilder::new(graph.name());
    let mut halves: HashSet<&str> = HashSet::new();
    for node in &graph.node {
        let output = node.output[0].as_str();
        let in_half = node.input.iter().any(|input| halves.contains(input.as_str()));
        let read = node.input.iter().filter_map(|input| constants.get(input.as_str()));
        for constant in read {
            if in_half {
                half_constant(&mut built, constant)?;
            } else {
                built.keep_constant(constant);
            }
        }
        if !in_half || output == "probabilities" {
            built.keep_node(node, node.input.clone());
        } else {
            let inputs = node.input.iter().map(|name| half_name(name, &halves)).collect();
            let half = format!("{output}.half");
            let node = NodeProto { name: Some(half.clone()), output: vec![half], ..node.clone() };
            built.keep_node(&node, inputs);
            halves.insert(output);
            if outputs.contains(output) {
                built.node("Cast", output, &[&format!("{output}.half")], to(DataType::Float));
            }
        }
        if output == NORMALIZED {
            built.node("Cast", &format!("{output}.half"), &[output], to(DataType::Float16));
            halves.insert(output);
        }
    }
    Ok(built.finish_as(model))
}

fn half_name(name: &str, halves: &HashSet<&str>) -> String {
    if halves.contains(name) { format!("{name}.half") } else { name.to_owned() }
}

fn to(data_type: DataType) -> [AttributeProto; 1] {
    [int_attribute("to", data_type as usize)]
}

/// Adds a constant of a node in float16. Shapes and pads, which are int64, stay as they are.
fn half_constant(built: &mut GraphBuilder, constant: &TensorProto) -> Result<(), TooLarge> {
    if constant.data_type() != i32::from(DataType::Float) {
        built.keep_constant(constant);
        return Ok(());
    }
    let mut bytes = Vec::with_capacity(constant.raw_data().len() / 2);
    for value in constant.floats().map(f16::from_f32) {
        if !value.is_finite() {
            return Err(TooLarge { name: constant.name().to_owned() });
        }
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    let (data_type, raw_data) = (Some(DataType::Float16.into()), Some(bytes.into()));
    let half = TensorProto { data_type, raw_data, ..constant.clone() };
    built.keep_constant(&half);
    Ok(())
}
