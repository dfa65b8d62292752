//! Builds a graph node by node, in the order in which the nodes run.

use bytes::Bytes;

use super::proto::{
    Attribute, AttributeType, DataType, Dimension, DimensionValue, Graph, Node, OperatorSetId,
    Tensor, TensorShape, TensorType, Type, ValueInfo,
};
use super::{Graft, Model};

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
    graph: Graph,
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
        Self { graph: Graph { name: name.to_owned(), ..Graph::default() } }
    }

    /// Adds a node with one output of the same name, and returns the name.
    pub fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        attributes: impl IntoIterator<Item = Attribute>,
    ) -> String {
        self.graph.node.push(Node {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: operator.to_owned(),
            attribute: attributes.into_iter().collect(),
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
        self.graph.initializer.push(Tensor {
            dims: shape.iter().map(|&size| int(size)).collect(),
            data_type: data_type.into(),
            name: name.to_owned(),
            raw_data: bytes.into(),
            data_location: 0,
        });
        name.to_owned()
    }

    /// Adds a constant of another graph unchanged.
    pub fn keep_constant(&mut self, constant: &Tensor) {
        self.graph.initializer.push(constant.clone());
    }

    /// Adds a node of another graph with other inputs.
    pub fn keep_node(&mut self, node: &Node, inputs: Vec<String>) {
        self.graph.node.push(Node { input: inputs, ..node.clone() });
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
            let tensor = value.r#type.as_mut().and_then(|of| of.tensor_type.as_mut());
            let shape = tensor.and_then(|tensor| tensor.shape.as_mut());
            if let Some(first) = shape.and_then(|shape| shape.dim.first_mut()) {
                first.value = Some(DimensionValue::Size(int(images)));
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
    pub fn finish_as(self, model: &Model) -> Model {
        let mut model = model.clone();
        let theirs = std::mem::replace(&mut model.proto.graph, self.graph);
        let graph = &mut model.proto.graph;
        (graph.input, graph.output) = (theirs.input, theirs.output);
        model
    }

    /// The finished model.
    #[must_use]
    pub fn finish(self, doc: &str, metadata: &[(String, String)]) -> Model {
        let has_gelu = self.graph.node.iter().any(|node| node.op_type == "Gelu");
        let version = if has_gelu { OPSET_OF_GELU } else { OPSET };
        let mut model = Model {
            proto: super::proto::Model {
                ir_version: IR_VERSION,
                producer_name: env!("CARGO_PKG_NAME").to_owned(),
                producer_version: env!("CARGO_PKG_VERSION").to_owned(),
                doc_string: doc.to_owned(),
                graph: self.graph,
                opset_import: vec![OperatorSetId { domain: String::new(), version }],
                metadata_props: Vec::new(),
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
pub fn int_attribute(name: &str, value: usize) -> Attribute {
    Attribute { i: Some(int(value)), r#type: AttributeType::Int.into(), ..named(name) }
}

/// An attribute with several integers.
#[must_use]
pub fn ints_attribute(name: &str, values: &[usize]) -> Attribute {
    let ints = values.iter().map(|&value| int(value)).collect();
    Attribute { ints, r#type: AttributeType::Ints.into(), ..named(name) }
}

/// An attribute with a string.
#[must_use]
pub fn text_attribute(name: &str, value: &str) -> Attribute {
    let s = Some(Bytes::copy_from_slice(value.as_bytes()));
    Attribute { s, r#type: AttributeType::Text.into(), ..named(name) }
}

fn named(name: &str) -> Attribute {
    Attribute { name: name.to_owned(), ..Attribute::default() }
}

/// A float32 value of any shape.
pub(super) fn float_value(name: &str) -> ValueInfo {
    let tensor_type = TensorType { elem_type: DataType::Float.into(), shape: None };
    let r#type = Some(Type { tensor_type: Some(tensor_type) });
    ValueInfo { name: name.to_owned(), r#type, doc_string: String::new() }
}

fn value_info(name: &str, element: Element, shape: &[usize], doc: &str) -> ValueInfo {
    let batch = DimensionValue::Name("N".to_owned());
    let sizes = shape.iter().map(|&size| DimensionValue::Size(int(size)));
    let dim = std::iter::once(batch).chain(sizes).map(|value| Dimension { value: Some(value) });
    let elem_type = match element {
        Element::Float => DataType::Float,
        Element::Uint8 => DataType::Uint8,
    };
    ValueInfo {
        name: name.to_owned(),
        r#type: Some(Type {
            tensor_type: Some(TensorType {
                elem_type: elem_type.into(),
                shape: Some(TensorShape { dim: dim.collect() }),
            }),
        }),
        doc_string: doc.to_owned(),
    }
}

fn int(size: usize) -> i64 {
    i64::try_from(size).expect("no tensor in memory has a dimension beyond 2^63")
}
