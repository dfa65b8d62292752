//! Replaces operators of a model's nodes.

use bytes::Bytes;

use super::Model;
use super::proto::{NodeProto, OperatorSetIdProto};

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
    /// How many nodes have changed, at least one.
    pub nodes: usize,
}

impl Model {
    /// The same model, where the nodes of operator `from` that `is_meant` accepts have operator `to`, in version 1 of its
    /// domain; `None` if there are no such nodes. Inputs, outputs and attributes stay. Subgraphs are not changed.
    pub fn replace_operators(
        &self,
        from: OperatorName<'_>,
        to: OperatorName<'_>,
        is_meant: impl Fn(&NodeProto) -> bool,
    ) -> Option<Replaced> {
        let mut model = self.clone();
        let mut nodes = 0;
        for node in &mut model.graph_mut().node {
            if (node.domain(), node.op_type()) == (from.domain, from.name) && is_meant(node) {
                node.domain = Some(to.domain.to_owned());
                node.op_type = Some(to.name.to_owned());
                nodes += 1;
            }
        }
        let set = OperatorSetIdProto { domain: Some(to.domain.to_owned()), version: Some(1) };
        model.proto.opset_import.push(set);
        (nodes > 0).then(|| Replaced { bytes: model.to_bytes().into(), nodes })
    }
}
