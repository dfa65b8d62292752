//! Detects from the last nodes of a foreign graph whether its scores are logits or probabilities.

use super::card::DeclaredScores;
use crate::onnx;

/// Operators that only change shape or type of the scores, or round them.
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
pub(super) fn scores_of(graph: &onnx::OnnxModel, output: &str) -> DeclaredScores {
    let mut value = output;
    for _ in 0..MAX_NODES {
        let Some(node) = graph.producer_of(value) else { return DeclaredScores::Logits };
        match node.op_type() {
            "Softmax" => return DeclaredScores::Probabilities,
            "Sigmoid" | "HardSigmoid" => return DeclaredScores::Sigmoid,
            passed if TRANSPARENT.contains(&passed) => match node.input.first() {
                Some(input) => value = input,
                None => return DeclaredScores::Logits,
            },
            _ => return DeclaredScores::Logits,
        }
    }
    DeclaredScores::Logits
}
