//! Replaces nodes of a model by nodes of another domain.

use std::collections::HashSet;

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

impl OperatorName<'_> {
    /// Whether the node has this operator.
    #[must_use]
    pub fn is_of(&self, node: &NodeProto) -> bool {
        (node.domain(), node.op_type()) == (self.domain, self.name)
    }
}

impl Model {
    /// The same model, where the nodes for which `replacement` returns another node have operator `to`, in version 1 of
    /// its domain. They keep their names, and the outputs. Constants that only the old nodes needed are removed.
    /// Subgraphs are not changed.
    #[must_use]
    pub fn replace_nodes(
        &self,
        to: OperatorName<'_>,
        mut replacement: impl FnMut(&NodeProto) -> Option<NodeProto>,
    ) -> Self {
        let mut model = self.clone();
        let mut unneeded = HashSet::new();
        let graph = model.graph_mut();
        for node in &mut graph.node {
            if let Some(new) = replacement(node) {
                let old = std::mem::take(node);
                unneeded.extend(old.input);
                *node = NodeProto {
                    output: old.output,
                    name: old.name,
                    domain: Some(to.domain.to_owned()),
                    op_type: Some(to.name.to_owned()),
                    ..new
                };
            }
        }
        for name in graph.node.iter().flat_map(|node| &node.input) {
            unneeded.remove(name);
        }
        for output in &graph.output {
            unneeded.remove(output.name());
        }
        graph.initializer.retain(|constant| !unneeded.contains(constant.name()));
        let set = OperatorSetIdProto { domain: Some(to.domain.to_owned()), version: Some(1) };
        model.proto.opset_import.push(set);
        model
    }
}
