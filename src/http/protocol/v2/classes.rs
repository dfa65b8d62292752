//! Scores in the format of the classification extension: `"value:index:label"`, in descending
//! order.

use crate::pipeline::topk;

/// The `count` highest of one image's `values`, at most as many as there are labels.
pub(super) fn of(values: &[f32], labels: &[String], count: usize) -> Vec<String> {
    topk::top_k(values, labels, count)
        .into_iter()
        // `probability` is the ranked value, with six decimals as in Triton.
        .map(|best| format!("{:.6}:{}:{}", best.probability, best.index, best.label))
        .collect()
}
