//! Adds nodes around the graph of any ONNX model.

use super::OnnxModel;
use super::proto::{GraphProto, NodeProto, TensorProto, ValueInfoProto};

/// Changes to a graph.
#[derive(Debug, Default)]
pub struct Graft {
    /// Nodes to insert before all others.
    pub before: Vec<NodeProto>,
    /// Nodes to append after all others.
    pub after: Vec<NodeProto>,
    /// Constants of these nodes.
    pub constants: Vec<TensorProto>,
    /// The new inputs.
    pub input: Vec<ValueInfoProto>,
    /// The new outputs.
    pub output: Vec<ValueInfoProto>,
    /// Values of the old graph to rename, as pairs of old and new name. Subgraphs are not changed.
    pub renamed: Vec<(String, String)>,
    /// Values to remove: the nodes that compute them, and constants of these names.
    pub dropped: Vec<String>,
    /// Metadata to add.
    pub metadata: Vec<(String, String)>,
}

impl Graft {
    /// Applies the changes to `model`.
    #[must_use]
    pub fn onto(mut self, mut model: OnnxModel) -> OnnxModel {
        let graph = model.graph_mut();
        self.remove(graph);
        self.rename(graph);
        let mut nodes = self.before;
        nodes.append(&mut graph.node);
        nodes.append(&mut self.after);
        graph.node = nodes;
        graph.initializer.append(&mut self.constants);
        (graph.input, graph.output) = (self.input, self.output);
        for (key, value) in &self.metadata {
            model.set_metadata(key, value);
        }
        model
    }

    fn remove(&self, graph: &mut GraphProto) {
        let is_kept = |name: &str| !self.dropped.iter().any(|dropped| dropped == name);
        graph.node.retain(|node| node.output.iter().all(|output| is_kept(output)));
        graph.initializer.retain(|tensor| is_kept(tensor.name()));
    }

    fn rename(&self, graph: &mut GraphProto) {
        let values =
            graph.node.iter_mut().flat_map(|node| node.input.iter_mut().chain(&mut node.output));
        let constants = graph.initializer.iter_mut().filter_map(|tensor| tensor.name.as_mut());
        let described = graph.value_info.iter_mut().filter_map(|value| value.name.as_mut());
        for name in values.chain(constants).chain(described) {
            if let Some((_, new)) = self.renamed.iter().find(|(old, _)| old == name) {
                new.clone_into(name);
            }
        }
    }
}
