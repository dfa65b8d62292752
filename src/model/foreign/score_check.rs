//! Checks whether the values of a graph's scores match the kind that its card or its last node indicates.

use super::card::ScoreMeaning;
use crate::model::Task;
use crate::onnx;

/// Metadata key for the kind of the scores. It is not a field of the card; files of `resnetd export` have it
/// too.
pub(super) const KEY: &str = "resnetd_scores";

/// How far the sum of a row may be from 1 to detect probabilities.
const DETECTED_TOLERANCE: f32 = 0.01;
/// The same if graph or card declares probabilities; int8 graphs round each of them.
const DECLARED_TOLERANCE: f32 = 0.1;

/// The kind of scores, and where it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScoreKind {
    pub(super) scores: ScoreMeaning,
    pub(super) by: KindSource,
}

/// Source of the kind of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KindSource {
    /// `onnx.scores` of the card.
    Card,
    /// The graph's last nodes.
    Graph,
}

/// Scores that do not match their kind.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe them")]
pub enum ScoreKindMismatch {
    #[error(
        "onnx.scores of the card is \"logits\", but the scores of each test image are not negative and \
         sum to 1, so they are probabilities; set onnx.scores to \"probabilities\", or remove it"
    )]
    NotLogits,
    #[error(
        "the scores should be probabilities, because {by}, but those of a test image are between \
         {low} and {high} and sum to {sum}; set onnx.scores in the card to \"logits\" or \"sigmoid\", whichever \
         they are"
    )]
    NotProbabilities { by: &'static str, low: f32, high: f32, sum: f32 },
    #[error(
        "the scores of all test images are between 0 and 1 and do not sum to 1, as after a sigmoid, and the \
         card does not declare their kind; set task = \"multi-label\" in the card if an image can have several \
         labels, or onnx.scores = \"logits\" if the graph ends before its softmax"
    )]
    Undecided,
    #[error(
        "task of the card is \"multi-label\", but the scores of each test image are not negative and sum to 1, \
         as after a softmax; remove task, or remove the softmax from the end of the graph"
    )]
    NotMultiLabel,
    #[error(
        "the score of all test images is between 0 and 1, and the card does not declare its kind; set \
         onnx.scores in the card to \"sigmoid\" if it is a probability, or else to \"logits\""
    )]
    UndecidedOne,
    #[error(
        "the score should be a probability, because {by}, but for a test image it is {found}; set \
         onnx.scores in the card to \"logits\""
    )]
    NotSigmoid { by: &'static str, found: f32 },
}

/// Result of the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScoresVerdict {
    /// The assumed kind is correct.
    AsAssumed,
    /// Another kind, detected from the values alone.
    Detected(ScoreMeaning),
}

impl ScoreKind {
    /// The kind as an entry of the graph's metadata.
    pub(super) fn entry(self) -> (String, String) {
        let by = match self.by {
            KindSource::Card => " by card",
            KindSource::Graph => "",
        };
        (KEY.to_owned(), format!("{}{by}", self.scores))
    }

    /// Reads the last such entry of a wrapped graph. Files of earlier versions have none.
    pub(super) fn of(graph: &onnx::OnnxModel) -> Self {
        let entry = graph.all_metadata().filter(|(key, _)| *key == KEY).last();
        let text = entry.map_or("", |(_, text)| text);
        let (scores, by) = match text.strip_suffix(" by card") {
            Some(scores) => (scores, KindSource::Card),
            None => (text, KindSource::Graph),
        };
        let is_softmax =
            || graph.producer_of("probabilities").is_some_and(|n| n.op_type() == "Softmax");
        let scores = match scores {
            "logits" => ScoreMeaning::Logits,
            "probabilities" => ScoreMeaning::Probabilities,
            "sigmoid" => ScoreMeaning::Sigmoid,
            _ if is_softmax() => ScoreMeaning::Logits,
            _ => ScoreMeaning::Probabilities,
        };
        Self { scores, by }
    }

    /// Compares the kind with `rows`, the graph's own scores for several different images.
    pub(super) fn verify(
        self,
        task: Task,
        rows: &[&[f32]],
    ) -> Result<ScoresVerdict, ScoreKindMismatch> {
        let one = rows.iter().all(|row| row.len() == 1);
        match task {
            // A graph that ends in a sigmoid is multi-label, whatever its scores sum to.
            Task::MultiLabel
                if !one
                    && all_sum_to_1(rows, DETECTED_TOLERANCE)
                    && (self.scores, self.by) != (ScoreMeaning::Sigmoid, KindSource::Graph) =>
            {
                Err(ScoreKindMismatch::NotMultiLabel)
            }
            Task::MultiLabel
                if self.scores == ScoreMeaning::Logits && self.by == KindSource::Graph =>
            {
                let unit = all_within_0_and_1(rows);
                Ok(if unit {
                    ScoresVerdict::Detected(ScoreMeaning::Sigmoid)
                } else {
                    ScoresVerdict::AsAssumed
                })
            }
            Task::SingleLabel | Task::MultiLabel => self.verify_values(rows),
        }
    }

    fn verify_values(self, rows: &[&[f32]]) -> Result<ScoresVerdict, ScoreKindMismatch> {
        let by = match self.by {
            KindSource::Card => "onnx.scores of the card declares it",
            KindSource::Graph => "the graph ends in Softmax or Sigmoid",
        };
        let one = rows.iter().all(|row| row.len() == 1);
        let unit = all_within_0_and_1(rows);
        match (self.scores, self.by) {
            (ScoreMeaning::Logits, KindSource::Card)
                if !one && all_sum_to_1(rows, DETECTED_TOLERANCE) =>
            {
                Err(ScoreKindMismatch::NotLogits)
            }
            (ScoreMeaning::Logits, KindSource::Graph) if one && unit => {
                Err(ScoreKindMismatch::UndecidedOne)
            }
            (ScoreMeaning::Logits, KindSource::Graph)
                if !one && all_sum_to_1(rows, DETECTED_TOLERANCE) =>
            {
                Ok(ScoresVerdict::Detected(ScoreMeaning::Probabilities))
            }
            (ScoreMeaning::Logits, KindSource::Graph) if unit => Err(ScoreKindMismatch::Undecided),
            (ScoreMeaning::Logits, KindSource::Card | KindSource::Graph) => {
                Ok(ScoresVerdict::AsAssumed)
            }
            (ScoreMeaning::Probabilities, _) => {
                match rows.iter().find(|r| !sums_to_1(r, DECLARED_TOLERANCE)) {
                    Some(row) => {
                        let (low, high, sum) = summary(row);
                        Err(ScoreKindMismatch::NotProbabilities { by, low, high, sum })
                    }
                    None => Ok(ScoresVerdict::AsAssumed),
                }
            }
            (ScoreMeaning::Sigmoid, _) => {
                let mut scores = rows.iter().copied().flatten();
                match scores.find(|score| !(-1e-3..=1.001).contains(*score)) {
                    Some(&found) => Err(ScoreKindMismatch::NotSigmoid { by, found }),
                    None => Ok(ScoresVerdict::AsAssumed),
                }
            }
        }
    }
}

fn all_within_0_and_1(rows: &[&[f32]]) -> bool {
    rows.iter().all(|row| row.iter().all(|score| (0.0..=1.0).contains(score)))
}

fn all_sum_to_1(rows: &[&[f32]], within: f32) -> bool {
    rows.iter().all(|row| sums_to_1(row, within))
}

fn sums_to_1(row: &[f32], within: f32) -> bool {
    let (low, _, sum) = summary(row);
    low >= -1e-3 && (sum - 1.0).abs() <= within
}

/// Minimum, maximum and sum.
fn summary(row: &[f32]) -> (f32, f32, f32) {
    let low = row.iter().copied().fold(f32::INFINITY, f32::min);
    let high = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (low, high, row.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(
        scores: ScoreMeaning,
        by: KindSource,
        rows: &[&[f32]],
    ) -> Result<ScoresVerdict, ScoreKindMismatch> {
        ScoreKind { scores, by }.verify(Task::SingleLabel, rows)
    }

    #[test]
    fn scores_are_checked_on_test_images() {
        use KindSource::{Card, Graph};
        use ScoreMeaning::{Logits, Probabilities, Sigmoid};
        let logits: &[&[f32]] = &[&[2.0, -1.0, 0.5], &[0.1, 0.2, 0.3]];
        let probabilities: &[&[f32]] = &[&[0.7, 0.2, 0.1], &[0.0, 1.0, 0.0]];
        let unit: &[&[f32]] = &[&[0.7, 0.9, 0.1], &[0.0, 0.2, 0.0]];
        for by in [Card, Graph] {
            assert_eq!(verified(Logits, by, logits), Ok(ScoresVerdict::AsAssumed));
            assert_eq!(verified(Probabilities, by, probabilities), Ok(ScoresVerdict::AsAssumed));
            let wrong = verified(Probabilities, by, logits).unwrap_err().to_string();
            assert!(wrong.contains("between -1 and 2 and sum to 1.5"), "{wrong}");
            assert!(verified(Probabilities, by, unit).is_err());
        }
        assert_eq!(
            verified(Logits, Graph, probabilities),
            Ok(ScoresVerdict::Detected(Probabilities))
        );
        assert_eq!(verified(Logits, Card, probabilities), Err(ScoreKindMismatch::NotLogits));
        assert_eq!(verified(Logits, Graph, unit), Err(ScoreKindMismatch::Undecided));
        assert_eq!(verified(Logits, Card, unit), Ok(ScoresVerdict::AsAssumed));

        let [inside, outside]: [&[&[f32]]; 2] = [&[&[0.25], &[1.0]], &[&[0.25], &[-4.0]]];
        assert_eq!(verified(Logits, Graph, outside), Ok(ScoresVerdict::AsAssumed));
        assert_eq!(verified(Logits, Graph, inside), Err(ScoreKindMismatch::UndecidedOne));
        assert_eq!(verified(Logits, Card, inside), Ok(ScoresVerdict::AsAssumed));
        assert_eq!(verified(Sigmoid, Graph, inside), Ok(ScoresVerdict::AsAssumed));
        let wrong = verified(Sigmoid, Card, outside).unwrap_err().to_string();
        assert!(wrong.contains("because onnx.scores of the card declares it"), "{wrong}");
    }

    #[test]
    fn multi_label_scores_that_sum_to_1_are_an_error_unless_the_graph_ends_in_a_sigmoid() {
        use KindSource::{Card, Graph};
        use ScoreMeaning::{Logits, Sigmoid};
        let verified =
            |scores, by, rows: &[&[f32]]| ScoreKind { scores, by }.verify(Task::MultiLabel, rows);
        let logits: &[&[f32]] = &[&[2.0, -1.0], &[0.1, 0.2]];
        let sums_to_1: &[&[f32]] = &[&[0.7, 0.3], &[0.0, 1.0]];
        let unit: &[&[f32]] = &[&[0.7, 0.9], &[0.0, 0.2]];
        assert_eq!(verified(Logits, Graph, logits), Ok(ScoresVerdict::AsAssumed));
        assert_eq!(verified(Logits, Graph, unit), Ok(ScoresVerdict::Detected(Sigmoid)));
        assert_eq!(verified(Logits, Card, unit), Ok(ScoresVerdict::AsAssumed));
        assert_eq!(verified(Sigmoid, Graph, unit), Ok(ScoresVerdict::AsAssumed));
        assert_eq!(verified(Sigmoid, Graph, sums_to_1), Ok(ScoresVerdict::AsAssumed));
        for (scores, by) in [(Logits, Graph), (Logits, Card), (Sigmoid, Card)] {
            assert_eq!(verified(scores, by, sums_to_1), Err(ScoreKindMismatch::NotMultiLabel));
        }
        assert!(verified(Sigmoid, Graph, logits).is_err());
    }
}
