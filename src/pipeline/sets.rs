//! The smallest set of classes that holds the truth as often as promised, or the word that it is
//! too large to be of use.

use serde::Serialize;
use utoipa::ToSchema;

use super::Classification;
use super::topk::{self, Prediction};
use crate::model::{ModelCard, Precision, Promise, Task};

/// What a caller wants to be sure of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cover {
    asked: f64,
    promise: Promise,
    max_set: Option<usize>,
}

/// What is said about a set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Covered {
    /// What is promised of it.
    pub coverage: Coverage,
    /// Whether it has more classes than the caller has use for; not there where none were named.
    pub abstained: Option<bool>,
}

/// How often a set holds the truth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Coverage {
    /// What was asked for.
    pub asked: f64,
    /// What is promised: the next coverage on the card that is no less.
    pub promised: f64,
    /// The share that was found when the card was made.
    pub found: f64,
}

/// A promise that nobody can make.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoPromise {
    /// Nothing was fitted.
    #[error(
        "{model} has no calibration in {precision}, so nothing can be promised; resnetd eval \
         --calibrate --data DATA --write-card CARD makes one from labelled images"
    )]
    Uncalibrated {
        /// The model.
        model: String,
        /// In which it runs.
        precision: Precision,
    },
    /// A set of classes of which one is the truth, of a network of which several can be.
    #[error(
        "coverage does not apply to {model}: several of its classes can be right for one image, and a \
         prediction set holds the one that is; threshold=0.5 answers the classes that are at least so probable"
    )]
    MultiLabel {
        /// The model.
        model: String,
    },
    /// More or less than was fitted.
    #[error("coverage is {asked}; for this model it takes a share from {low} to {high}")]
    OutOfRange {
        /// What was asked for.
        asked: f64,
        /// The smallest that can be promised.
        low: f64,
        /// The largest.
        high: f64,
    },
}

impl Cover {
    /// Sets of `card`'s model that hold the truth at least as often as `asked`, a share. Of more than
    /// `max_set` classes they are of no use.
    ///
    /// # Errors
    ///
    /// [`NoPromise`] where the card cannot say so.
    pub fn new(card: &ModelCard, asked: f64, max_set: Option<usize>) -> Result<Self, NoPromise> {
        if card.task == Task::MultiLabel {
            return Err(NoPromise::MultiLabel { model: card.name.clone() });
        }
        let calibration = card.calibration_in_use();
        let found = calibration.and_then(|found| Some((found, found.range()?)));
        let Some((calibration, (low, high))) = found else {
            let (model, precision) = (card.name.clone(), card.precision);
            return Err(NoPromise::Uncalibrated { model, precision });
        };
        let promise = calibration.promise(asked).copied();
        let promise = promise.ok_or(NoPromise::OutOfRange { asked, low, high })?;
        Ok(Self { asked, promise, max_set })
    }
}

impl Classification {
    /// The same answer whose predictions are the set.
    #[must_use]
    pub fn covered(self, labels: &[String], cover: &Cover) -> (Self, Covered) {
        let predictions = set(&self.scores.probabilities, labels, cover.promise.threshold);
        let Promise { coverage: promised, found, .. } = cover.promise;
        let abstained = cover.max_set.map(|most| predictions.len() > most);
        let coverage = Coverage { asked: cover.asked, promised, found };
        (Self { predictions, ..self }, Covered { coverage, abstained })
    }
}

/// The classes that reach `threshold`, falling, and the best one whatever it reaches.
///
/// The rule of Sadinle, Lei and Wasserman 2019 ("Least Ambiguous Set-Valued Classifiers with Bounded
/// Error Levels"), whose sets are the smallest on average. Theirs may be empty; an answer with no
/// class helps nobody, and one more class makes no promise less true.
#[must_use]
pub fn set(probabilities: &[f32], labels: &[String], threshold: f32) -> Vec<Prediction> {
    let all = topk::top_k(probabilities, labels, labels.len());
    let ranked = all.into_iter().enumerate();
    ranked
        .take_while(|(rank, class)| *rank == 0 || class.probability >= threshold)
        .map(|(_, class)| class)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_falls_has_ties_whole_and_is_never_empty() {
        let labels: Vec<String> = ["a", "b", "c", "d"].map(String::from).to_vec();
        let indices = |threshold| -> Vec<usize> {
            let found = set(&[0.2, 0.4, 0.2, 0.2], &labels, threshold);
            found.into_iter().map(|class| class.index).collect()
        };
        assert_eq!(indices(0.9), [1]);
        assert_eq!(indices(0.4), [1]);
        assert_eq!(indices(0.3), [1]);
        assert_eq!(indices(0.2), [1, 0, 2, 3]);
        assert_eq!(indices(0.0), [1, 0, 2, 3]);
    }
}
