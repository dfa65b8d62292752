//! Selects the most probable classes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::queue::Scores;
use super::temperature;
use crate::model::Task;

/// The default number of classes in an answer.
pub const TOP_K: usize = 5;

/// The default number of classes in an answer: [`TOP_K`], or all that reach the threshold for a
/// multi-label network with a threshold.
#[must_use]
pub fn default_top_k(task: Task, threshold: Option<f32>) -> usize {
    match (task, threshold) {
        (Task::MultiLabel, Some(_)) => usize::MAX,
        (Task::SingleLabel | Task::MultiLabel, _) => TOP_K,
    }
}

/// A class and its probability.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Prediction {
    /// The class's name, from the model's card.
    pub label: String,
    /// Index of the class in the network's output.
    pub index: usize,
    /// 0 to 1; or the result of another [`Function`] of the class's logit.
    #[schema(minimum = 0, maximum = 1)]
    pub probability: f32,
}

/// The `k` most probable classes, in descending order; of equal ones the lower index first. At most as many
/// as there are classes.
///
/// `probabilities` f32 `[classes]`, with one label each.
#[must_use]
pub fn top_k(probabilities: &[f32], labels: &[String], k: usize) -> Vec<Prediction> {
    let known = &probabilities[..probabilities.len().min(labels.len())];
    named(largest(scores_of(known).collect(), k), labels)
}

/// The indices of the `k` largest of `scores`, in the same order.
#[must_use]
pub fn best(scores: &[f32], k: usize) -> Vec<usize> {
    largest(scores_of(scores).collect(), k).into_iter().map(|found| found.class).collect()
}

/// The score of one class.
struct ClassScore {
    class: usize,
    score: f32,
}

fn scores_of(scores: &[f32]) -> impl Iterator<Item = ClassScore> {
    scores.iter().enumerate().map(|(class, &score)| ClassScore { class, score })
}

/// The `k` largest, in descending order; of equal ones the lower index first.
fn largest(mut scores: Vec<ClassScore>, k: usize) -> Vec<ClassScore> {
    let descending = |a: &ClassScore, b: &ClassScore| {
        b.score.total_cmp(&a.score).then_with(|| a.class.cmp(&b.class))
    };
    if k < scores.len() {
        scores.select_nth_unstable_by(k, descending);
        scores.truncate(k);
    }
    scores.sort_unstable_by(descending);
    scores
}

fn named(scores: Vec<ClassScore>, labels: &[String]) -> Vec<Prediction> {
    let named = |ClassScore { class, score }| Prediction {
        label: labels[class].clone(),
        index: class,
        probability: score,
    };
    scores.into_iter().map(named).collect()
}

/// The function that is applied to logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Function {
    /// Softmax, for classes that exclude each other.
    Softmax,
    /// Sigmoid of each class.
    Sigmoid,
    /// None: the logits.
    None,
}

/// Like [`top_k`], for the values of `function`; without a function, for the probabilities of the network's
/// `task`.
#[must_use]
pub fn scored(
    scores: &Scores,
    labels: &[String],
    task: Task,
    k: usize,
    function: Option<Function>,
) -> Vec<Prediction> {
    match (function, task) {
        (None, _) | (Some(Function::Softmax), Task::SingleLabel) => {
            top_k(&scores.probabilities, labels, k)
        }
        (Some(Function::Softmax), Task::MultiLabel) => {
            top_k(&temperature::probabilities(&scores.logits, 1.0), labels, k)
        }
        (Some(Function::None), _) => top_k(&scores.logits, labels, k),
        // Selected by logits, so that classes whose probability rounds to 1 keep their order.
        (Some(Function::Sigmoid), _) => {
            let sigmoid = |logit: f32| 1.0 / (1.0 + (-logit).exp());
            let best = top_k(&scores.logits, labels, k).into_iter();
            best.map(|found| Prediction { probability: sigmoid(found.probability), ..found })
                .collect()
        }
    }
}

/// Restricts the classes of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassFilter {
    /// Candidate classes, in ascending order without duplicates; empty for all classes.
    pub among: Vec<usize>,
    /// Minimum probability: among the candidates, or in a multi-label network the class's own.
    pub threshold: f32,
    /// Maximum number of classes.
    pub top_k: usize,
}

/// Like [`top_k`], for the classes that `filter` selects.
///
/// `logits` is f32 `[classes]`. Probabilities are the softmax over the candidates' logits, which equals the
/// candidates' probabilities divided by their sum, even if that sum is too small for f32.
#[must_use]
pub fn filtered(logits: &[f32], labels: &[String], filter: &ClassFilter) -> Vec<Prediction> {
    let all = || (0..logits.len()).collect();
    let classes: Vec<usize> = if filter.among.is_empty() { all() } else { filter.among.clone() };
    let largest_logit =
        classes.iter().map(|&class| logits[class]).fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> =
        classes.iter().map(|&class| (logits[class] - largest_logit).exp()).collect();
    let sum: f32 = weights.iter().sum();
    let scores = classes.into_iter().zip(weights);
    let scores = scores.map(|(class, weight)| ClassScore { class, score: weight / sum });
    let scores = scores.filter(|found| found.score >= filter.threshold).collect();
    named(largest(scores, filter.top_k), labels)
}

/// Like [`filtered`], for a multi-label network: candidates keep their own probabilities.
///
/// `probabilities` is f32 `[classes]`.
#[must_use]
pub fn chosen(probabilities: &[f32], labels: &[String], filter: &ClassFilter) -> Vec<Prediction> {
    let is_left = |found: &ClassScore| {
        let is_candidate = filter.among.is_empty() || filter.among.contains(&found.class);
        found.score >= filter.threshold && is_candidate
    };
    named(largest(scores_of(probabilities).filter(is_left).collect(), filter.top_k), labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_of_a_multi_label_network_keep_their_own_probabilities() {
        let labels: Vec<String> = ["a", "b", "c", "d"].map(String::from).to_vec();
        let found = |among: &[usize], threshold, k| -> Vec<(usize, f32)> {
            let filter = ClassFilter { among: among.to_vec(), threshold, top_k: k };
            let predictions = chosen(&[0.9, 0.2, 0.95, 0.5], &labels, &filter);
            predictions.into_iter().map(|found| (found.index, found.probability)).collect()
        };
        assert_eq!(found(&[], 0.5, 9), [(2, 0.95), (0, 0.9), (3, 0.5)]);
        assert_eq!(found(&[0, 1], 0.0, 9), [(0, 0.9), (1, 0.2)]);
        assert_eq!(found(&[0, 1], 0.3, 9), [(0, 0.9)]);
        assert_eq!(found(&[], 0.0, 1), [(2, 0.95)]);
        assert_eq!(found(&[], 0.99, 9), []);
    }

    #[test]
    fn a_requested_function_is_applied_for_any_task() {
        let labels: Vec<String> = ["a", "b"].map(String::from).to_vec();
        let scores = Scores { logits: vec![0.0, 1.0], probabilities: vec![0.5, 0.731_058_6] };
        let best = |function| scored(&scores, &labels, Task::MultiLabel, 1, function)[0].clone();
        let close = |function, expected: f32| {
            let Prediction { index, probability, .. } = best(function);
            assert!(
                index == 1 && (probability - expected).abs() < 1e-6,
                "{function:?} {probability}"
            );
        };
        close(None, 0.731_058_6);
        close(Some(Function::Sigmoid), 0.731_058_6);
        close(Some(Function::Softmax), 0.731_058_6); // of 0 and 1: the same
        close(Some(Function::None), 1.0);
        let worst =
            |function| scored(&scores, &labels, Task::MultiLabel, 2, function)[1].probability;
        assert!((worst(Some(Function::Softmax)) - 0.268_941_4).abs() < 1e-6);
        assert!((worst(None) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn candidates_whose_probabilities_underflow_are_normalized_correctly() {
        let labels: Vec<String> = ["a", "b", "c", "d"].map(String::from).to_vec();
        let logits = [0.0, -500.0, 1.0, -500.0];
        let found = |among: &[usize], threshold| -> Vec<(usize, f32)> {
            let filter = ClassFilter { among: among.to_vec(), threshold, top_k: 4 };
            let predictions = filtered(&logits, &labels, &filter);
            predictions.into_iter().map(|found| (found.index, found.probability)).collect()
        };
        assert_eq!(found(&[3, 1], 0.0), [(1, 0.5), (3, 0.5)]);
        assert_eq!(found(&[3], 1.0), [(3, 1.0)]);
        assert_eq!(found(&[0, 1], 0.5), [(0, 1.0)]);
        assert_eq!(found(&[], 0.5).len(), 1);
        assert_eq!(found(&[1, 3], 0.6), []);
    }

    #[test]
    fn ties_are_ordered_by_index_and_k_may_exceed_the_number_of_classes() {
        let labels: Vec<String> = ["a", "b", "c", "d"].map(String::from).to_vec();
        let indices = |scores: &[f32], k| -> Vec<usize> {
            top_k(scores, &labels, k).into_iter().map(|prediction| prediction.index).collect()
        };
        for (scores, k, expected) in [
            ([0.1, 0.4, 0.1, 0.4], 3, vec![1, 3, 0]),
            ([0.25; 4], 2, vec![0, 1]),
            ([0.0, f32::NAN, -1e30, 1.0], 4, vec![1, 3, 0, 2]),
            ([0.7, 0.1, 0.1, 0.1], 9, vec![0, 1, 2, 3]),
            ([0.7, 0.1, 0.1, 0.1], 0, vec![]),
        ] {
            assert_eq!(indices(&scores, k), expected, "{scores:?} top {k}");
        }
    }
}
