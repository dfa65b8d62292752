//! Detects from the last nodes of a foreign graph whether its scores are logits or probabilities.

use super::card::DeclaredScores;
use crate::onnx;

/// Operators that change the shape or the type of scores, or round them, and nothing else.
const PASSED: [&str; 12] = [
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

/// More nodes than this do not follow a softmax; a damaged graph may have a cycle.
const FOLLOWED: usize = 32;

/// What the value `output` of `graph` holds, by the node that computes it. Exporters put casts and
/// changes of shape behind that node.
pub(super) fn scores_of(graph: &onnx::Model, output: &str) -> DeclaredScores {
    let mut value = output;
    for _ in 0..FOLLOWED {
        let Some(node) = graph.maker_of(value) else { return DeclaredScores::Logits };
        match node.op_type() {
            "Softmax" => return DeclaredScores::Probabilities,
            "Sigmoid" | "HardSigmoid" => return DeclaredScores::Sigmoid,
            passed if PASSED.contains(&passed) => match node.input.first() {
                Some(input) => value = input,
                None => return DeclaredScores::Logits,
            },
            _ => return DeclaredScores::Logits,
        }
    }
    DeclaredScores::Logits
}
