//! Adds nodes around the graph of any ONNX model; all other bytes stay the same.
//!
//! The messages in `proto.rs` have only the fields that resnetd writes, so writing a foreign model with them
//! would lose its other fields. This module splits the file into fields of the wire format instead (protobuf
//! encoding, "Message structure"), and changes only the affected lists.

use bytes::Bytes;
use prost::Message;

use super::NotOnnx;
use super::proto::{Node, StringStringEntry, Tensor, ValueInfo};

/// Changes to a graph.
#[derive(Debug, Default)]
pub struct Graft {
    /// Nodes to insert before all others.
    pub before: Vec<Node>,
    /// Nodes to append after all others.
    pub after: Vec<Node>,
    /// Constants of these nodes.
    pub constants: Vec<Tensor>,
    /// The new inputs.
    pub input: Vec<ValueInfo>,
    /// The new outputs.
    pub output: Vec<ValueInfo>,
    /// Values of the old graph to rename, as pairs of old and new name. Subgraphs are not changed.
    pub renamed: Vec<(String, String)>,
    /// Values to remove: the nodes that compute them, and constants of these names.
    pub dropped: Vec<String>,
    /// Metadata to add.
    pub metadata: Vec<(String, String)>,
}

// Field numbers of onnx.proto.
pub(super) const MODEL_GRAPH: u64 = 7;
const MODEL_METADATA: u64 = 14;
pub(super) const GRAPH_NODE: u64 = 1;
pub(super) const GRAPH_INITIALIZER: u64 = 5;
const GRAPH_INPUT: u64 = 11;
const GRAPH_OUTPUT: u64 = 12;
const GRAPH_VALUE_INFO: u64 = 13;
const NODE_INPUT: u64 = 1;
const NODE_OUTPUT: u64 = 2;
pub(super) const TENSOR_NAME: u64 = 8;
const VALUE_NAME: u64 = 1;

impl Graft {
    /// Applies the changes to the model in `bytes`.
    ///
    /// # Errors
    ///
    /// [`NotOnnx`] if the bytes are not a protobuf message.
    pub fn onto(&self, bytes: &Bytes) -> Result<Vec<u8>, NotOnnx> {
        let mut model = Vec::with_capacity(bytes.len() + 4096);
        for field in fields(bytes) {
            let field = field?;
            if field.number == MODEL_GRAPH {
                put(&mut model, MODEL_GRAPH, &self.graph(field.body)?);
            } else {
                model.extend_from_slice(field.whole);
            }
        }
        for (key, value) in &self.metadata {
            let entry = StringStringEntry { key: key.clone(), value: value.clone() };
            put(&mut model, MODEL_METADATA, &entry.encode_to_vec());
        }
        Ok(model)
    }

    fn graph(&self, old: &[u8]) -> Result<Vec<u8>, NotOnnx> {
        let mut graph = Vec::with_capacity(old.len() + 4096);
        put_all(&mut graph, GRAPH_NODE, &self.before);
        for field in fields(old) {
            let field = field?;
            if self.drops(&field)? {
                continue;
            }
            let names: &[u64] = match field.number {
                GRAPH_NODE => &[NODE_INPUT, NODE_OUTPUT],
                GRAPH_INITIALIZER => &[TENSOR_NAME],
                GRAPH_VALUE_INFO => &[VALUE_NAME],
                _ => &[],
            };
            if names.is_empty() || self.renamed.is_empty() {
                graph.extend_from_slice(field.whole);
            } else {
                put(&mut graph, field.number, &self.with_new_names(field.body, names)?);
            }
        }
        put_all(&mut graph, GRAPH_NODE, &self.after);
        put_all(&mut graph, GRAPH_INITIALIZER, &self.constants);
        put_all(&mut graph, GRAPH_INPUT, &self.input);
        put_all(&mut graph, GRAPH_OUTPUT, &self.output);
        Ok(graph)
    }

    /// Whether a field of the graph is removed.
    fn drops(&self, field: &Field<'_>) -> Result<bool, NotOnnx> {
        let name = match field.number {
            GRAPH_INPUT | GRAPH_OUTPUT => return Ok(true),
            GRAPH_NODE => NODE_OUTPUT,
            GRAPH_INITIALIZER => TENSOR_NAME,
            _ => return Ok(false),
        };
        if self.dropped.is_empty() {
            return Ok(false);
        }
        for part in fields(field.body) {
            let part = part?;
            let is_it = |dropped: &String| dropped.as_bytes() == part.body;
            if part.number == name && self.dropped.iter().any(is_it) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Renames values in the message `old`; `names` are the numbers of the fields that contain names of
    /// values.
    fn with_new_names(&self, old: &[u8], names: &[u64]) -> Result<Vec<u8>, NotOnnx> {
        let mut message = Vec::with_capacity(old.len() + 32);
        for field in fields(old) {
            let field = field?;
            let renamed = self.renamed.iter().find(|(from, _)| from.as_bytes() == field.body);
            match renamed {
                Some((_, to)) if names.contains(&field.number) => {
                    put(&mut message, field.number, to.as_bytes());
                }
                _ => message.extend_from_slice(field.whole),
            }
        }
        Ok(message)
    }
}

/// One field of a message.
pub(super) struct Field<'a> {
    pub(super) number: u64,
    /// The field with its key.
    pub(super) whole: &'a [u8],
    /// The content of a field of bytes, text or a message; otherwise empty.
    pub(super) body: &'a [u8],
}

pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, NotOnnx>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next_field(rest);
        rest = field.as_ref().map_or(&[], |field| &rest[field.whole.len()..]);
        Some(field.ok_or(NotOnnx::Cut))
    })
}

fn next_field(message: &[u8]) -> Option<Field<'_>> {
    let (key, after_key) = varint(message)?;
    let (start, end) = match key & 7 {
        0 => {
            let (_, rest) = varint(after_key)?;
            (rest, rest)
        }
        1 => (after_key, after_key.get(8..)?),
        2 => {
            let (length, body) = varint(after_key)?;
            (body, body.get(usize::try_from(length).ok()?..)?)
        }
        5 => (after_key, after_key.get(4..)?),
        _ => return None,
    };
    let body = if key & 7 == 2 { &start[..start.len() - end.len()] } else { &[] };
    Some(Field { number: key >> 3, whole: &message[..message.len() - end.len()], body })
}

pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

fn put_all<M: Message>(to: &mut Vec<u8>, number: u64, messages: &[M]) {
    for message in messages {
        put(to, number, &message.encode_to_vec());
    }
}

/// Appends a field of bytes, text or a message.
pub(super) fn put(to: &mut Vec<u8>, number: u64, body: &[u8]) {
    put_varint(to, number << 3 | 2);
    put_varint(to, body.len() as u64);
    to.extend_from_slice(body);
}

fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the lowest seven bits are meant")]
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(u8::try_from(value).expect("less than 0x80"));
}
