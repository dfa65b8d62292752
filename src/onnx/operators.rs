//! Changes nodes of a model to nodes of another domain.

use std::collections::HashSet;

use super::OnnxModel;
use super::proto::{NodeProto, OperatorSetIdProto, ValueInfoProto};

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

/// What becomes of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeChange {
    /// It stays.
    Keep,
    /// It is removed.
    Remove,
    /// It gets the inputs and attributes of this node, and keeps its name and its outputs.
    Replace(Box<NodeProto>),
}

impl OnnxModel {
    /// The same model with changed nodes. The new ones have operator `to`, in version 1 of its domain. Constants that only
    /// the old nodes needed are removed. Subgraphs are not changed.
    #[must_use]
    pub fn change_nodes(
        &self,
        to: OperatorName<'_>,
        mut change: impl FnMut(&NodeProto) -> NodeChange,
    ) -> Self {
        let mut model = self.clone();
        let mut unneeded = HashSet::new();
        let graph = model.graph_mut();
        for old in std::mem::take(&mut graph.node) {
            let new = match change(&old) {
                NodeChange::Keep => {
                    graph.node.push(old);
                    continue;
                }
                NodeChange::Remove => None,
                NodeChange::Replace(new) => Some(*new),
            };
            unneeded.extend(old.input);
            graph.node.extend(new.map(|new| NodeProto {
                output: old.output,
                name: old.name,
                domain: Some(to.domain.to_owned()),
                op_type: Some(to.name.to_owned()),
                ..new
            }));
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

    /// The values that are read once, by a node of the graph. Values that a subgraph may read are not among them.
    #[must_use]
    pub fn read_once(&self) -> HashSet<&str> {
        let graph = self.graph();
        let has_subgraph = |node: &NodeProto| {
            node.attribute
                .iter()
                .any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty())
        };
        if graph.node.iter().any(has_subgraph) {
            return HashSet::new();
        }
        let (mut once, mut often) = (HashSet::new(), HashSet::new());
        let outputs = graph.output.iter().map(ValueInfoProto::name);
        often.extend(outputs);
        for name in graph.node.iter().flat_map(|node| &node.input) {
            if !often.contains(&**name) && !once.insert(&**name) {
                once.remove(&**name);
                often.insert(&**name);
            }
        }
        once
    }
}
