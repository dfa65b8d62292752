//! Scores become predictions.

use serde::Serialize;

/// One class and how probable it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The class's name on the model's card.
    pub label: String,
    /// Its place in the network's output.
    pub index: usize,
    /// 0 to 1.
    pub probability: f32,
}

/// The `k` most probable classes, falling; of equal ones the lower index first. At most as many as
/// there are classes.
///
/// `probabilities` f32 `[classes]`, with one label each.
#[must_use]
pub fn top_k(probabilities: &[f32], labels: &[String], k: usize) -> Vec<Prediction> {
    let mut order: Vec<usize> = (0..probabilities.len().min(labels.len())).collect();
    // A stable sort keeps equal scores in the order of their indices.
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order
        .into_iter()
        .take(k)
        .map(|index| Prediction {
            label: labels[index].clone(),
            index,
            probability: probabilities[index],
        })
        .collect()
}

/// The class that `typed` means: a label, or else a label in other letters' case, or else an
/// index, plain or as `#3`.
#[must_use]
pub fn find_class(typed: &str, labels: &[String]) -> Option<usize> {
    let place = |same: &dyn Fn(&str) -> bool| labels.iter().position(|label| same(label));
    place(&|label| label == typed)
        .or_else(|| place(&|label| label.to_lowercase() == typed.to_lowercase()))
        .or_else(|| {
            typed
                .strip_prefix('#')
                .unwrap_or(typed)
                .parse()
                .ok()
                .filter(|index| *index < labels.len())
        })
}

/// That `typed` means none, and what would.
#[must_use]
pub fn no_such_class(typed: &str, labels: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut shown = labels.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if labels.len() > SHOWN {
        shown.push_str(", …");
    }
    format!(
        "{typed:?} is no class of this model; use a label ({shown}) or an index from 0 to {}",
        labels.len() - 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lower_index_and_k_may_exceed_the_classes() {
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
