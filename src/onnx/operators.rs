//! Replaces operators of a model's nodes; all other bytes stay the same.
//!
//! Like `graft.rs`, this works on the wire format, because the messages in `proto.rs` lack some fields of the models that
//! ONNX Runtime writes.

use bytes::Bytes;
use prost::Message;

use super::NotOnnx;
use super::graft::{GRAPH_NODE, MODEL_GRAPH, fields, put};
use super::proto::{Node, OperatorSetId};

const MODEL_OPSET: u64 = 8;
const NODE_OPERATOR: u64 = 4;
const NODE_DOMAIN: u64 = 7;

/// An operator by its domain and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorName<'a> {
    /// The domain; empty for ONNX's own.
    pub domain: &'a str,
    /// The name in the domain.
    pub name: &'a str,
}

/// A model with other operators.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// The file.
    pub bytes: Bytes,
    /// How many nodes have changed.
    pub nodes: usize,
}

/// The model in `bytes`, where the nodes of operator `from` that `is_meant` accepts have operator `to`, in version 1 of its
/// domain. Inputs, outputs and attributes stay. Subgraphs are not changed.
///
/// # Errors
///
/// [`NotOnnx`] if the bytes are not a protobuf message.
pub fn replace_operators(
    bytes: &[u8],
    from: OperatorName<'_>,
    to: OperatorName<'_>,
    is_meant: impl Fn(&Node) -> bool,
) -> Result<Replaced, NotOnnx> {
    let mut model = Vec::with_capacity(bytes.len() + 4096);
    let mut nodes = 0;
    for field in fields(bytes) {
        let field = field?;
        if field.number != MODEL_GRAPH {
            model.extend_from_slice(field.whole);
            continue;
        }
        let mut graph = Vec::with_capacity(field.body.len() + 4096);
        for part in fields(field.body) {
            let part = part?;
            if part.number == GRAPH_NODE
                && is_operator(part.body, from)?
                && is_meant(&Node::decode(part.body)?)
            {
                nodes += 1;
                put(&mut graph, GRAPH_NODE, &with_operator(part.body, to)?);
            } else {
                graph.extend_from_slice(part.whole);
            }
        }
        put(&mut model, MODEL_GRAPH, &graph);
    }
    let set = OperatorSetId { domain: to.domain.to_owned(), version: 1 };
    put(&mut model, MODEL_OPSET, &set.encode_to_vec());
    Ok(Replaced { bytes: model.into(), nodes })
}

fn is_operator(node: &[u8], operator: OperatorName<'_>) -> Result<bool, NotOnnx> {
    let (mut domain, mut name): (&[u8], &[u8]) = (&[], &[]);
    for field in fields(node) {
        let field = field?;
        match field.number {
            NODE_OPERATOR => name = field.body,
            NODE_DOMAIN => domain = field.body,
            _ => {}
        }
    }
    Ok(name == operator.name.as_bytes() && domain == operator.domain.as_bytes())
}

fn with_operator(node: &[u8], operator: OperatorName<'_>) -> Result<Vec<u8>, NotOnnx> {
    let mut message = Vec::with_capacity(node.len() + 32);
    for field in fields(node) {
        let field = field?;
        if ![NODE_OPERATOR, NODE_DOMAIN].contains(&field.number) {
            message.extend_from_slice(field.whole);
        }
    }
    put(&mut message, NODE_OPERATOR, operator.name.as_bytes());
    put(&mut message, NODE_DOMAIN, operator.domain.as_bytes());
    Ok(message)
}
