//! The ONNX file format. Independent of networks.

pub mod proto; // the messages of onnx.proto
pub mod builder; // a graph, node by node
pub mod metadata; // the metadata of a file
mod graft; // adds nodes around a foreign model
mod operators; // replaces the operators of nodes
pub mod external; // constants in external files
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use bytes::Buf;
use prost::Message;

pub use builder::{Element, GraphBuilder};
pub use graft::Graft;
pub use operators::{OperatorName, Replaced, replace_operators};

/// An ONNX model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    proto: proto::Model,
}

/// The bytes are not an ONNX model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOnnx {
    /// They are not protobuf, or another message, or truncated.
    #[error("not an ONNX model: {source}")]
    Protobuf {
        /// The cause.
        #[from]
        source: prost::DecodeError,
    },
    /// They are not a complete message.
    #[error("not an ONNX model: a field is cut short")]
    Cut,
    /// They are a message without nodes, such as an empty file.
    #[error("not an ONNX model: it has no nodes")]
    NoNodes,
}

impl Model {
    /// The model as the bytes of a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    /// Reads the bytes of a file. Weights are not copied if `bytes` is [`bytes::Bytes`].
    ///
    /// Fields that resnetd does not write are skipped. A foreign model can be inspected this way, but writing
    /// it again would lose these fields.
    ///
    /// # Errors
    ///
    /// [`NotOnnx`] if the bytes are something else, or truncated.
    pub fn from_bytes(bytes: impl Buf) -> Result<Self, NotOnnx> {
        let proto = proto::Model::decode(bytes)?;
        if proto.graph.node.is_empty() {
            return Err(NotOnnx::NoNodes);
        }
        Ok(Self { proto })
    }

    /// The names of the inputs.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.proto.graph.input.iter().map(|value| value.name.as_str())
    }

    /// The names of the outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.proto.graph.output.iter().map(|value| value.name.as_str())
    }

    /// The batch size, if the first input has a fixed one.
    #[must_use]
    pub fn fixed_batch(&self) -> Option<usize> {
        let tensor = self.proto.graph.input.first()?.r#type.as_ref()?.tensor_type.as_ref()?;
        match tensor.shape.as_ref()?.dim.first()?.value {
            Some(proto::DimensionValue::Size(size @ 1..)) => usize::try_from(size).ok(),
            Some(proto::DimensionValue::Size(_) | proto::DimensionValue::Name(_)) | None => None,
        }
    }

    /// The version of the format.
    #[must_use]
    pub fn ir_version(&self) -> i64 {
        self.proto.ir_version
    }

    /// The version of ONNX's own operators; 0 if the file does not specify it.
    #[must_use]
    pub fn opset(&self) -> i64 {
        let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        let mut imported = self.proto.opset_import.iter();
        imported.find(|set| own(&set.domain)).map_or(0, |set| set.version)
    }

    /// The graph: nodes in topological order, and constants.
    #[must_use]
    pub fn graph(&self) -> &proto::Graph {
        &self.proto.graph
    }

    /// The same model with the values called `names`, all float32, as additional outputs.
    #[must_use]
    pub fn with_outputs<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let outputs = &mut self.proto.graph.output;
        for name in names {
            if !outputs.iter().any(|output| output.name == name) {
                outputs.push(builder::float_value(name));
            }
        }
        self
    }

    /// The node that computes the value `name`.
    #[must_use]
    pub fn maker_of(&self, name: &str) -> Option<&proto::Node> {
        self.proto.graph.node.iter().find(|node| node.output.iter().any(|output| output == name))
    }

    /// The float32 constants whose elements are stored as bytes.
    pub fn float_weights(&self) -> impl Iterator<Item = &proto::Tensor> {
        let stored = |tensor: &&proto::Tensor| {
            tensor.data_type == proto::DataType::Float as i32 && !tensor.raw_data.is_empty()
        };
        self.proto.graph.initializer.iter().filter(stored)
    }

    /// The same model with only the named outputs, and without nodes and constants that these do not need.
    ///
    /// A session that only classifies then computes nothing else.
    #[must_use]
    pub fn keep_outputs(mut self, names: &[&str]) -> Self {
        let graph = &mut self.proto.graph;
        graph.output.retain(|output| names.contains(&output.name.as_str()));

        let mut wanted: HashSet<String> = graph.output.iter().map(|o| o.name.clone()).collect();
        // Nodes are in order of execution, so in reverse order a node comes before the nodes whose outputs it
        // reads.
        let mut kept: Vec<proto::Node> = Vec::with_capacity(graph.node.len());
        for node in graph.node.drain(..).rev() {
            if node.output.iter().any(|output| wanted.contains(output)) {
                wanted.extend(node.input.iter().cloned());
                kept.push(node);
            }
        }
        kept.reverse();
        graph.node = kept;
        graph.initializer.retain(|tensor| wanted.contains(&tensor.name));
        self
    }
}

impl proto::Tensor {
    /// The elements of a float32 constant that are stored as bytes, row-major.
    pub fn floats(&self) -> impl Iterator<Item = f32> {
        let (elements, _) = self.raw_data.as_chunks::<4>();
        elements.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }
}
