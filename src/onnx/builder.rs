//! Builds a graph node by node, in the order in which the nodes run.

use bytes::Bytes;

use super::proto::attribute_proto::AttributeType;
use super::proto::tensor_proto::DataType;
use super::proto::tensor_shape_proto::{Dimension, dimension};
use super::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use super::{Graft, OnnxModel};

/// Version of the format: the newest one that ONNX Runtime 1.18 supports.
const IR_VERSION: i64 = 10;
/// Version of the operators. It contains all that are used here, and the reference evaluator of onnx supports
/// it.
const OPSET: i64 = 17;
/// The version that adds `Gelu`, for graphs with it.
const OPSET_OF_GELU: i64 = 20;

/// A graph under construction. Values are identified by name.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: GraphProto,
}

/// Type of a value's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// float32.
    Float,
    /// uint8.
    Uint8,
}

impl GraphBuilder {
    /// An empty graph with this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { graph: GraphProto { name: Some(name.to_owned()), ..GraphProto::default() } }
    }

    /// Adds a node with one output of the same name, and returns the name.
    pub fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        attributes: impl IntoIterator<Item = AttributeProto>,
    ) -> String {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![name.to_owned()],
            name: Some(name.to_owned()),
            op_type: Some(operator.to_owned()),
            attribute: attributes.into_iter().collect(),
            ..NodeProto::default()
        });
        name.to_owned()
    }

    /// Adds a node that reshapes a value to `[N, …shape]`, and returns its name.
    pub fn reshape(&mut self, name: &str, input: &str, shape: &[usize]) -> String {
        let sizes = shape.iter().map(|&size| int(size));
        // 0 keeps the first dimension.
        let bytes: Vec<u8> = std::iter::once(0).chain(sizes).flat_map(i64::to_le_bytes).collect();
        let rank = [shape.len() + 1];
        let shape = self.raw_constant(&format!("{name}.shape"), DataType::Int64, &rank, bytes);
        self.node("Reshape", name, &[input, &shape], [])
    }

    /// Adds a float32 constant, row-major, and returns its name.
    pub fn constant(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.raw_constant(name, DataType::Float, shape, bytes)
    }

    /// Adds a constant of any type, row-major and little-endian, and returns its name.
    pub fn raw_constant(
        &mut self,
        name: &str,
        data_type: DataType,
        shape: &[usize],
        bytes: impl Into<Bytes>,
    ) -> String {
        self.graph.initializer.push(TensorProto {
            dims: shape.iter().map(|&size| int(size)).collect(),
            data_type: Some(data_type.into()),
            name: Some(name.to_owned()),
            raw_data: Some(bytes.into()),
            ..TensorProto::default()
        });
        name.to_owned()
    }

    /// Adds a constant of another graph unchanged.
    pub fn keep_constant(&mut self, constant: &TensorProto) {
        self.graph.initializer.push(constant.clone());
    }

    /// Adds a node of another graph with other inputs.
    pub fn keep_node(&mut self, node: &NodeProto, inputs: Vec<String>) {
        self.graph.node.push(NodeProto { input: inputs, ..node.clone() });
    }

    /// Declares an input `[N, …shape]` with variable N, and returns its name.
    pub fn input(&mut self, name: &str, element: Element, shape: &[usize], doc: &str) -> String {
        self.graph.input.push(value_info(name, element, shape, doc));
        name.to_owned()
    }

    /// Declares the float32 value `value`, `[N, …shape]`, as the output `name`.
    pub fn output(&mut self, name: &str, value: &str, shape: &[usize], doc: &str) {
        let inputs_and_outputs = self
            .graph
            .node
            .iter_mut()
            .flat_map(|node| node.input.iter_mut().chain(&mut node.output));
        for other in inputs_and_outputs.filter(|other| *other == value) {
            name.clone_into(other);
        }
        self.graph.output.push(value_info(name, Element::Float, shape, doc));
    }

    /// Sets the first dimension of all inputs and outputs to `images`.
    pub fn fix_batch(&mut self, images: usize) {
        for value in self.graph.input.iter_mut().chain(&mut self.graph.output) {
            let value = value.r#type.as_mut().and_then(|of| of.value.as_mut());
            if let Some(type_proto::Value::TensorType(tensor)) = value
                && let Some(first) = tensor.shape.as_mut().and_then(|shape| shape.dim.first_mut())
            {
                first.value = Some(dimension::Value::DimValue(int(images)));
            }
        }
    }

    /// Wraps another graph: the inputs and nodes of `self` come before it, the nodes and outputs of `after`
    /// behind it.
    #[must_use]
    pub fn around(self, after: Self) -> Graft {
        Graft {
            before: self.graph.node,
            after: after.graph.node,
            constants: [self.graph.initializer, after.graph.initializer].concat(),
            input: self.graph.input,
            output: after.graph.output,
            ..Graft::default()
        }
    }

    /// `model` with this graph. Inputs and outputs of the model are unchanged.
    #[must_use]
    pub fn finish_as(self, model: &OnnxModel) -> OnnxModel {
        let mut model = model.clone();
        let theirs = std::mem::replace(model.graph_mut(), self.graph);
        let graph = model.graph_mut();
        (graph.input, graph.output) = (theirs.input, theirs.output);
        model
    }

    /// The finished model.
    #[must_use]
    pub fn finish(self, doc: &str, metadata: &[(String, String)]) -> OnnxModel {
        let has_gelu = self.graph.node.iter().any(|node| node.op_type() == "Gelu");
        let version = if has_gelu { OPSET_OF_GELU } else { OPSET };
        let opset = OperatorSetIdProto { version: Some(version), domain: None };
        let mut model = OnnxModel {
            proto: ModelProto {
                ir_version: Some(IR_VERSION),
                producer_name: Some(env!("CARGO_PKG_NAME").to_owned()),
                producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                doc_string: text(doc),
                graph: Some(self.graph),
                opset_import: vec![opset],
                ..ModelProto::default()
            },
        };
        for (key, value) in metadata {
            model.set_metadata(key, value);
        }
        model
    }
}

/// An attribute with one integer.
#[must_use]
pub fn int_attribute(name: &str, value: usize) -> AttributeProto {
    AttributeProto { i: Some(int(value)), ..attribute(name, AttributeType::Int) }
}

/// An attribute with several integers.
#[must_use]
pub fn ints_attribute(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| int(value)).collect();
    AttributeProto { ints, ..attribute(name, AttributeType::Ints) }
}

/// An attribute with a string.
#[must_use]
pub fn text_attribute(name: &str, value: &str) -> AttributeProto {
    let s = Some(Bytes::copy_from_slice(value.as_bytes()));
    AttributeProto { s, ..attribute(name, AttributeType::String) }
}

fn attribute(name: &str, r#type: AttributeType) -> AttributeProto {
    let r#type = Some(r#type.into());
    AttributeProto { name: Some(name.to_owned()), r#type, ..AttributeProto::default() }
}

/// A float32 value of any shape.
pub(super) fn float_value(name: &str) -> ValueInfoProto {
    tensor(name, DataType::Float, None)
}

fn value_info(name: &str, element: Element, shape: &[usize], doc: &str) -> ValueInfoProto {
    let batch = dimension::Value::DimParam("N".to_owned());
    let sizes = shape.iter().map(|&size| dimension::Value::DimValue(int(size)));
    let dims = std::iter::once(batch).chain(sizes);
    let dim = dims.map(|value| Dimension { value: Some(value), denotation: None }).collect();
    let element = match element {
        Element::Float => DataType::Float,
        Element::Uint8 => DataType::Uint8,
    };
    let value = tensor(name, element, Some(TensorShapeProto { dim }));
    ValueInfoProto { doc_string: text(doc), ..value }
}

fn tensor(name: &str, element: DataType, shape: Option<TensorShapeProto>) -> ValueInfoProto {
    let tensor = type_proto::Tensor { elem_type: Some(element.into()), shape };
    let value = Some(type_proto::Value::TensorType(tensor));
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { value, denotation: None }),
        ..ValueInfoProto::default()
    }
}

/// An optional field, which is left out if it is empty.
pub(super) fn text(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn int(size: usize) -> i64 {
    i64::try_from(size).expect("no tensor in memory has a dimension beyond 2^63")
}
