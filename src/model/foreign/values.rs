//! Whether the scores that a graph computes are what its card, or its last node, says they are.

use super::card::DeclaredScores;
use crate::model::Task;
use crate::onnx;

/// Key of the entry in a graph's metadata that says what its scores are taken for. It is no field of a
/// card: files of `resnetd export` have it too.
pub(super) const KEY: &str = "resnetd_scores";

/// How far from 1 rows may sum where nothing says that they are probabilities.
const FOUND_WITHIN: f32 = 0.01;
/// And where the graph or the card says so; int8 graphs round each probability.
const SAID_WITHIN: f32 = 0.1;

/// The kind of scores, and how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) scores: DeclaredScores,
    pub(super) by: By,
}

/// Who says what the scores of a graph are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// `onnx.scores` of the card.
    Card,
    /// The graph's last nodes.
    Graph,
}

/// Scores that are not what they are taken for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "their messages say it")]
pub enum Contradiction {
    #[error(
        "onnx.scores of the card is \"logits\", but the scores of each test image are not negative and \
         sum to 1, so they are probabilities; use scores = \"probabilities\", or leave it out"
    )]
    NotLogits,
    #[error(
        "the scores are taken for probabilities, because {by}, but those of a test image lie between \
         {low} and {high} and sum to {sum}; set onnx.scores in the card to what they are: \"logits\" or \
         \"sigmoid\""
    )]
    NotProbabilities { by: &'static str, low: f32, high: f32, sum: f32 },
    #[error(
        "the scores of all test images lie between 0 and 1 and do not sum to 1, as after a sigmoid, and the \
         card does not say what they are; set task = \"multi-label\" in the card if several classes can be \
         right for one image, or onnx.scores = \"logits\" if the softmax is still to be applied"
    )]
    Undecided,
    #[error(
        "task of the card is \"multi-label\", but the scores of each test image are not negative and sum to 1, \
         so one class is right for each image; leave task out, or let the graph end before the softmax"
    )]
    NotMultiLabel,
    #[error(
        "the score of all test images lies between 0 and 1, and the card does not say what it is; set \
         onnx.scores in the card: \"sigmoid\" for a probability, or \"logits\""
    )]
    UndecidedOne,
    #[error(
        "the score is taken for a probability, because {by}, but for a test image it is {found}; set \
         onnx.scores in the card to \"logits\""
    )]
    NotSigmoid { by: &'static str, found: f32 },
}

/// What the scores turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScoresVerdict {
    /// What they are taken for.
    AsTaken,
    /// These, detected from the values alone.
    Really(DeclaredScores),
}

impl Taken {
    /// How the graph is told, for its metadata.
    pub(super) fn entry(self) -> (String, String) {
        let by = match self.by {
            By::Card => " by card",
            By::Graph => "",
        };
        (KEY.to_owned(), format!("{}{by}", self.scores))
    }

    /// What an adopted graph says; the last entry counts. Files of earlier versions have none.
    pub(super) fn of(graph: &onnx::Model) -> Self {
        let entry = graph.all_metadata().filter(|(key, _)| *key == KEY).last();
        let text = entry.map_or("", |(_, text)| text);
        let (scores, by) = match text.strip_suffix(" by card") {
            Some(scores) => (scores, By::Card),
            None => (text, By::Graph),
        };
        let is_softmax =
            || graph.maker_of("probabilities").is_some_and(|n| n.op_type() == "Softmax");
        let scores = match scores {
            "logits" => DeclaredScores::Logits,
            "probabilities" => DeclaredScores::Probabilities,
            "sigmoid" => DeclaredScores::Sigmoid,
            _ if is_softmax() => DeclaredScores::Logits,
            _ => DeclaredScores::Probabilities,
        };
        Self { scores, by }
    }

    /// Compares with `rows`, the graph's own scores for several different images.
    pub(super) fn judge(self, task: Task, rows: &[&[f32]]) -> Result<ScoresVerdict, Contradiction> {
        let one = rows.iter().all(|row| row.len() == 1);
        match task {
            // A graph with a sigmoid at its end has one, whatever its scores sum to.
            Task::MultiLabel
                if !one
                    && all_sum_to_1(rows, FOUND_WITHIN)
                    && (self.scores, self.by) != (DeclaredScores::Sigmoid, By::Graph) =>
            {
                Err(Contradiction::NotMultiLabel)
            }
            Task::MultiLabel if self.scores == DeclaredScores::Logits && self.by == By::Graph => {
                let unit = all_within_0_and_1(rows);
                Ok(if unit {
                    ScoresVerdict::Really(DeclaredScores::Sigmoid)
                } else {
                    ScoresVerdict::AsTaken
                })
            }
            Task::SingleLabel | Task::MultiLabel => self.judge_single(rows),
        }
    }

    fn judge_single(self, rows: &[&[f32]]) -> Result<ScoresVerdict, Contradiction> {
        let by = match self.by {
            By::Card => "onnx.scores of the card says so",
            By::Graph => "the graph ends in Softmax or Sigmoid",
        };
        let one = rows.iter().all(|row| row.len() == 1);
        let unit = all_within_0_and_1(rows);
        match (self.scores, self.by) {
            (DeclaredScores::Logits, By::Card) if !one && all_sum_to_1(rows, FOUND_WITHIN) => {
                Err(Contradiction::NotLogits)
            }
            (DeclaredScores::Logits, By::Graph) if one && unit => Err(Contradiction::UndecidedOne),
            (DeclaredScores::Logits, By::Graph) if !one && all_sum_to_1(rows, FOUND_WITHIN) => {
                Ok(ScoresVerdict::Really(DeclaredScores::Probabilities))
            }
            (DeclaredScores::Logits, By::Graph) if unit => Err(Contradiction::Undecided),
            (DeclaredScores::Logits, By::Card | By::Graph) => Ok(ScoresVerdict::AsTaken),
            (DeclaredScores::Probabilities, _) => {
                match rows.iter().find(|r| !sums_to_1(r, SAID_WITHIN)) {
                    Some(row) => {
                        let (low, high, sum) = summary(row);
                        Err(Contradiction::NotProbabilities { by, low, high, sum })
                    }
                    None => Ok(ScoresVerdict::AsTaken),
                }
            }
            (DeclaredScores::Sigmoid, _) => {
                let mut scores = rows.iter().copied().flatten();
                match scores.find(|score| !(-1e-3..=1.001).contains(*score)) {
                    Some(&found) => Err(Contradiction::NotSigmoid { by, found }),
                    None => Ok(ScoresVerdict::AsTaken),
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

/// The least, the largest and the sum.
fn summary(row: &[f32]) -> (f32, f32, f32) {
    let low = row.iter().copied().fold(f32::INFINITY, f32::min);
    let high = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (low, high, row.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(
        scores: DeclaredScores,
        by: By,
        rows: &[&[f32]],
    ) -> Result<ScoresVerdict, Contradiction> {
        Taken { scores, by }.judge(Task::SingleLabel, rows)
    }

    #[test]
    fn scores_are_checked_on_test_images() {
        use By::{Card, Graph};
        use DeclaredScores::{Logits, Probabilities, Sigmoid};
        let logits: &[&[f32]] = &[&[2.0, -1.0, 0.5], &[0.1, 0.2, 0.3]];
        let probabilities: &[&[f32]] = &[&[0.7, 0.2, 0.1], &[0.0, 1.0, 0.0]];
        let unit: &[&[f32]] = &[&[0.7, 0.9, 0.1], &[0.0, 0.2, 0.0]];
        for by in [Card, Graph] {
            assert_eq!(judged(Logits, by, logits), Ok(ScoresVerdict::AsTaken));
            assert_eq!(judged(Probabilities, by, probabilities), Ok(ScoresVerdict::AsTaken));
            let wrong = judged(Probabilities, by, logits).unwrap_err().to_string();
            assert!(wrong.contains("between -1 and 2 and sum to 1.5"), "{wrong}");
            assert!(judged(Probabilities, by, unit).is_err());
        }
        assert_eq!(judged(Logits, Graph, probabilities), Ok(ScoresVerdict::Really(Probabilities)));
        assert_eq!(judged(Logits, Card, probabilities), Err(Contradiction::NotLogits));
        assert_eq!(judged(Logits, Graph, unit), Err(Contradiction::Undecided));
        assert_eq!(judged(Logits, Card, unit), Ok(ScoresVerdict::AsTaken));

        let [inside, outside]: [&[&[f32]]; 2] = [&[&[0.25], &[1.0]], &[&[0.25], &[-4.0]]];
        assert_eq!(judged(Logits, Graph, outside), Ok(ScoresVerdict::AsTaken));
        assert_eq!(judged(Logits, Graph, inside), Err(Contradiction::UndecidedOne));
        assert_eq!(judged(Logits, Card, inside), Ok(ScoresVerdict::AsTaken));
        assert_eq!(judged(Sigmoid, Graph, inside), Ok(ScoresVerdict::AsTaken));
        let wrong = judged(Sigmoid, Card, outside).unwrap_err().to_string();
        assert!(wrong.contains("because onnx.scores of the card says so"), "{wrong}");
    }

    #[test]
    fn scores_of_several_labels_are_sigmoids_or_logits_and_never_sum_to_one() {
        use By::{Card, Graph};
        use DeclaredScores::{Logits, Sigmoid};
        let judged =
            |scores, by, rows: &[&[f32]]| Taken { scores, by }.judge(Task::MultiLabel, rows);
        let logits: &[&[f32]] = &[&[2.0, -1.0], &[0.1, 0.2]];
        let sums_to_1: &[&[f32]] = &[&[0.7, 0.3], &[0.0, 1.0]];
        let unit: &[&[f32]] = &[&[0.7, 0.9], &[0.0, 0.2]];
        assert_eq!(judged(Logits, Graph, logits), Ok(ScoresVerdict::AsTaken));
        assert_eq!(judged(Logits, Graph, unit), Ok(ScoresVerdict::Really(Sigmoid)));
        assert_eq!(judged(Logits, Card, unit), Ok(ScoresVerdict::AsTaken));
        assert_eq!(judged(Sigmoid, Graph, unit), Ok(ScoresVerdict::AsTaken));
        assert_eq!(judged(Sigmoid, Graph, sums_to_1), Ok(ScoresVerdict::AsTaken));
        for (scores, by) in [(Logits, Graph), (Logits, Card), (Sigmoid, Card)] {
            assert_eq!(judged(scores, by, sums_to_1), Err(Contradiction::NotMultiLabel));
        }
        assert!(judged(Sigmoid, Graph, logits).is_err());
    }
}
