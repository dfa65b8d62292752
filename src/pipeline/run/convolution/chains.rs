//! Finds the convolutions of a graph for which there are kernels, and those that follow one another.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::node::GraphConstants;
use super::{CHAIN, Chain, OWN};
use crate::kernels::{ConvolutionKernel, Geometry};
use crate::onnx::builder::int_attribute;
use crate::onnx::proto::NodeProto;
use crate::onnx::{NodeChange, OnnxModel, OperatorName};

/// ONNX Runtime's operator.
const THEIRS: OperatorName<'static> = OperatorName { domain: "com.microsoft", name: "QLinearConv" };

/// A graph with this program's operator.
pub(in crate::pipeline::run) struct ReplacedGraph {
    /// The model file.
    pub(in crate::pipeline::run) bytes: Bytes,
    /// The convolutions of its nodes.
    pub(in crate::pipeline::run) chains: Arc<[Chain]>,
}

impl ReplacedGraph {
    /// How many convolutions run in kernels of this program.
    pub(in crate::pipeline::run) fn convolutions(&self) -> usize {
        self.chains.iter().map(Vec::len).sum()
    }
}

/// The optimised graph `model` with this program's operator for the convolutions that `is_faster_here` accepts. `None` if there
/// are none.
pub(in crate::pipeline::run) fn replace(
    model: &OnnxModel,
    is_faster_here: impl Fn(&Geometry) -> bool,
) -> Option<ReplacedGraph> {
    let constants = GraphConstants::of(model);
    let read_once = model.read_once();
    let mut chains: Vec<Chain> = Vec::new();
    let mut inputs: Vec<&str> = Vec::new();
    // The chain of each output of a convolution.
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    // The last outputs of the chains.
    let mut outputs: Vec<&str> = Vec::new();
    for node in model.graph().node.iter().filter(|node| THEIRS.is_of(node)) {
        let (Some(convolution), [x, ..], [y]) =
            (constants.convolution(node, &is_faster_here), &*node.input, &*node.output)
        else {
            continue;
        };
        let before = numbers.get(&**x).copied().filter(|_| read_once.contains(&**x));
        let number = before.unwrap_or(chains.len());
        if before.is_none() {
            chains.push(Chain::new());
            inputs.push(x);
            outputs.push(y);
        }
        chains[number].push(ConvolutionKernel::new(convolution));
        outputs[number] = y;
        numbers.insert(y, number);
    }
    let replaced = model.change_nodes(OWN, |node| {
        let output = node.output.first().map_or("", |output| output);
        match numbers.get(output) {
            Some(&number) if outputs[number] == output => {
                let input = vec![inputs[number].to_owned()];
                let attribute = vec![int_attribute(CHAIN, number)];
                NodeChange::Replace(NodeProto { input, attribute, ..NodeProto::default() }.into())
            }
            Some(_) => NodeChange::Remove,
            None => NodeChange::Keep,
        }
    });
    let is_any = !chains.is_empty();
    is_any.then(|| ReplacedGraph { bytes: replaced.to_bytes().into(), chains: chains.into() })
}
