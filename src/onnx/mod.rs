//! The ONNX file format. Independent of networks.

pub mod proto; // the messages, generated from onnx.proto
pub mod builder; // a graph, node by node
pub mod metadata; // the metadata of a file
mod graft; // adds nodes around a foreign model
mod operators; // changes nodes to those of another domain
pub mod external; // constants in external files
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use bytes::Buf;
use prost::Message;

use proto::TensorProto;
use proto::tensor_proto::DataType;
use proto::tensor_shape_proto::{Dimension, dimension};

pub use builder::{Element, GraphBuilder};
pub use graft::Graft;
pub use operators::{NodeChange, OperatorName};

/// The newest version of the format whose fields are all known. A model of a newer version can be read, but
/// writing it again could lose fields.
pub const NEWEST_IR_VERSION: i64 = proto::Version::IrVersion as i64;

/// An ONNX model. It always has a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct OnnxModel {
    proto: proto::ModelProto,
}

/// Why bytes are not an ONNX model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOnnx {
    /// They are not protobuf, or another message, or truncated.
    #[error("{source}")]
    Protobuf {
        /// The cause.
        #[from]
        source: prost::DecodeError,
    },
    /// They are a message without nodes, such as an empty file.
    #[error("it has no nodes")]
    NoNodes,
}

impl OnnxModel {
    /// The model as the bytes of a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    /// Reads the bytes of a file. Weights stored as bytes are not copied if `bytes` is [`bytes::Bytes`].
    ///
    /// Fields that are not in ONNX's schema are skipped.
    ///
    /// # Errors
    ///
    /// [`NotOnnx`] if the bytes are something else, or truncated.
    pub fn from_bytes(bytes: impl Buf) -> Result<Self, NotOnnx> {
        let proto = proto::ModelProto::decode(bytes)?;
        if proto.graph.as_ref().is_none_or(|graph| graph.node.is_empty()) {
            return Err(NotOnnx::NoNodes);
        }
        Ok(Self { proto })
    }

    /// The names of the inputs.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.graph().input.iter().map(proto::ValueInfoProto::name)
    }

    /// The names of the outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.graph().output.iter().map(proto::ValueInfoProto::name)
    }

    /// The batch size, if the first input has a fixed one.
    #[must_use]
    pub fn fixed_batch(&self) -> Option<usize> {
        self.graph().input.first()?.dims()?.first()?.size()
    }

    /// The version of the format.
    #[must_use]
    pub fn ir_version(&self) -> i64 {
        self.proto.ir_version()
    }

    /// The version of ONNX's own operators; 0 if the file does not specify it.
    #[must_use]
    pub fn opset(&self) -> i64 {
        let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        let mut imported = self.proto.opset_import.iter();
        imported.find(|set| own(set.domain())).map_or(0, proto::OperatorSetIdProto::version)
    }

    /// The graph: nodes in topological order, and constants.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "no model is made without a graph")]
    pub fn graph(&self) -> &proto::GraphProto {
        self.proto.graph.as_ref().expect("a model has a graph")
    }

    /// The graph, to be changed.
    #[expect(clippy::missing_panics_doc, reason = "no model is made without a graph")]
    pub fn graph_mut(&mut self) -> &mut proto::GraphProto {
        self.proto.graph.as_mut().expect("a model has a graph")
    }

    /// The same model with the values called `names`, all float32, as additional outputs.
    #[must_use]
    pub fn with_outputs<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let outputs = &mut self.graph_mut().output;
        for name in names {
            if !outputs.iter().any(|output| output.name() == name) {
                outputs.push(builder::float_value(name));
            }
        }
        self
    }

    /// The node that computes the value `name`.
    #[must_use]
    pub fn producer_of(&self, name: &str) -> Option<&proto::NodeProto> {
        self.graph().node.iter().find(|node| node.output.iter().any(|output| output == name))
    }

    /// The float32 constants whose elements are stored as bytes.
    pub fn float_weights(&self) -> impl Iterator<Item = &TensorProto> {
        let stored = |tensor: &&TensorProto| {
            tensor.data_type() == DataType::Float as i32 && !tensor.raw_data().is_empty()
        };
        self.graph().initializer.iter().filter(stored)
    }

    /// The same model with only the named outputs, and without nodes and constants that these do not need.
    ///
    /// A session that only classifies then computes nothing else.
    #[must_use]
    pub fn keep_outputs(mut self, names: &[&str]) -> Self {
        let graph = self.graph_mut();
        graph.output.retain(|output| names.contains(&output.name()));

        let mut wanted: HashSet<String> =
            graph.output.iter().map(|output| output.name().to_owned()).collect();
        // Nodes are in order of execution, so in reverse order a node comes before the nodes whose outputs it
        // reads.
        let mut kept: Vec<proto::NodeProto> = Vec::with_capacity(graph.node.len());
        for node in graph.node.drain(..).rev() {
            if node.output.iter().any(|output| wanted.contains(output)) {
                wanted.extend(node.input.iter().cloned());
                kept.push(node);
            }
        }
        kept.reverse();
        graph.node = kept;
        graph.initializer.retain(|tensor| wanted.contains(tensor.name()));
        self
    }
}

impl TensorProto {
    /// The elements of a float32 constant that are stored as bytes, row-major.
    pub fn floats(&self) -> impl Iterator<Item = f32> {
        let (elements, _) = self.raw_data().as_chunks::<4>();
        elements.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }

    /// The elements of a constant, row-major, however they are stored; `None` if they are not float32.
    #[must_use]
    pub fn to_floats(&self) -> Option<Vec<f32>> {
        let is_raw = !self.raw_data().is_empty();
        (self.data_type() == DataType::Float as i32)
            .then(|| if is_raw { self.floats().collect() } else { self.float_data.clone() })
    }

    /// The elements of a constant, row-major, however they are stored; `None` if they are not int8, uint8 or int32.
    #[must_use]
    pub fn to_ints(&self) -> Option<Vec<i32>> {
        let raw = self.raw_data();
        let is = |data_type: DataType| self.data_type() == data_type as i32;
        let raw: Vec<i32> = if is(DataType::Int8) {
            raw.iter().map(|byte| byte.cast_signed().into()).collect()
        } else if is(DataType::Uint8) {
            raw.iter().copied().map(i32::from).collect()
        } else if is(DataType::Int32) {
            raw.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()
        } else {
            return None;
        };
        Some(if raw.is_empty() { self.int32_data.clone() } else { raw })
    }
}

impl proto::ValueInfoProto {
    /// Type and shape, if the value is a tensor.
    #[must_use]
    pub fn tensor(&self) -> Option<&proto::type_proto::Tensor> {
        let value = self.r#type.as_ref()?.value.as_ref()?;
        if let proto::type_proto::Value::TensorType(tensor) = value { Some(tensor) } else { None }
    }

    /// The dimensions, if the value is a tensor of known rank.
    #[must_use]
    pub fn dims(&self) -> Option<&[Dimension]> {
        Some(&self.tensor()?.shape.as_ref()?.dim)
    }
}

impl Dimension {
    /// The size, if it is fixed. (Some exporters write -1 or 0 for a variable size.)
    #[must_use]
    pub fn size(&self) -> Option<usize> {
        match self.value {
            Some(dimension::Value::DimValue(size @ 1..)) => usize::try_from(size).ok(),
            Some(dimension::Value::DimValue(_) | dimension::Value::DimParam(_)) | None => None,
        }
    }
}
