//! Detects from the last nodes of a foreign graph whether its scores are logits or probabilities.

use super::card::ScoreMeaning;
use crate::onnx;

/// Operators that only change shape or type of the scores, or round or limit them.
const TRANSPARENT: [&str; 12] = [
    "Identity",
    "Cast",
    "CastLike",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Clip",
    "Dropout",
    "Transpose",
    "QuantizeLinear",
    "DequantizeLinear",
];

/// Maximum number of nodes after a softmax; a damaged graph may have a cycle.
const MAX_NODES: usize = 32;

/// The kind of scores in the value `output` of `graph`, from the node that computes it. Exporters may add
/// casts and reshapes after that node.
pub(super) fn scores_of(graph: &onnx::OnnxModel, output: &str) -> ScoreMeaning {
    let mut value = output;
    for _ in 0..MAX_NODES {
        let Some(node) = graph.producer_of(value) else { return ScoreMeaning::Logits };
        match node.op_type() {
            "Softmax" => return ScoreMeaning::Probabilities,
            "Sigmoid" | "HardSigmoid" => return ScoreMeaning::Sigmoid,
            passed if TRANSPARENT.contains(&passed) => match node.input.first() {
                Some(input) => value = input,
                None => return ScoreMeaning::Logits,
            },
            _ => return ScoreMeaning::Logits,
        }
    }
    ScoreMeaning::Logits
}
