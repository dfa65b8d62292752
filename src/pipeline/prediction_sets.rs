//! Conformal prediction sets: the smallest set of classes with a given coverage, and abstention if
//! it is too large.

use serde::Serialize;
use utoipa::ToSchema;

use super::Classification;
use super::topk::{self, Prediction};
use crate::model::{CoverageThreshold, ModelCard, Precision, Task};

/// A requested prediction set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SetRequest {
    asked: f64,
    set: CoverageThreshold,
    max_set: Option<usize>,
}

/// Facts about a prediction set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SetFacts {
    /// The coverage of the set.
    pub coverage: Coverage,
    /// Whether it has more than `max_set` classes; `None` without `max_set`.
    pub abstained: Option<bool>,
}

/// The coverage of a prediction set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Coverage {
    /// The requested coverage.
    pub asked: f64,
    /// The nominal coverage: the smallest one in the card that is at least the requested one.
    pub promised: f64,
    /// The coverage measured when the card was made.
    pub found: f64,
}

/// Why a coverage is not available.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CoverageUnavailable {
    /// The card has no calibration for the precision in use.
    #[error(
        "{model} has no calibration for {precision}, which prediction sets need; create one from labelled \
         images with resnetd eval --calibrate --data DATA --write-card CARD"
    )]
    Uncalibrated {
        /// The model's name.
        model: String,
        /// The precision in use.
        precision: Precision,
    },
    /// The network is multi-label, and prediction sets are for single-label networks.
    #[error(
        "coverage does not apply to {model}: prediction sets are for single-label models, and this one is \
         multi-label; threshold=0.5 returns all classes with a probability of at least 0.5"
    )]
    MultiLabel {
        /// The model's name.
        model: String,
    },
    /// No fitted set has this coverage.
    #[error("coverage is {asked}; for this model it must be from {low} to {high}")]
    OutOfRange {
        /// The requested coverage.
        asked: f64,
        /// The smallest available coverage.
        low: f64,
        /// The largest available coverage.
        high: f64,
    },
}

impl SetRequest {
    /// Prediction sets with a coverage of at least `asked`, 0 to 1, from the card's calibration. The model
    /// abstains if a set has more than `max_set` classes.
    ///
    /// # Errors
    ///
    /// [`CoverageUnavailable`] if the card has no such coverage.
    pub fn new(
        card: &ModelCard,
        asked: f64,
        max_set: Option<usize>,
    ) -> Result<Self, CoverageUnavailable> {
        if card.task == Task::MultiLabel {
            return Err(CoverageUnavailable::MultiLabel { model: card.name.clone() });
        }
        let calibration = card.calibration_in_use();
        let found = calibration.and_then(|found| Some((found, found.range()?)));
        let Some((calibration, (low, high))) = found else {
            let (model, precision) = (card.name.clone(), card.precision);
            return Err(CoverageUnavailable::Uncalibrated { model, precision });
        };
        let set = calibration.set_for(asked).copied();
        let set = set.ok_or(CoverageUnavailable::OutOfRange { asked, low, high })?;
        Ok(Self { asked, set, max_set })
    }
}

/// Below this probability, the best class is unsure.
const LIKELY: f32 = 0.5;
/// Coverage of the prediction sets that decide whether an answer is unsure.
const SURE: f64 = 0.95;

impl Classification {
    /// Whether the best class has a probability below 0.5, or the card's prediction set has several
    /// classes.
    #[must_use]
    pub fn is_unsure(&self, card: &ModelCard) -> bool {
        if card.task == Task::MultiLabel {
            return false; // its probabilities do not compete
        }
        let probabilities = &self.scores.probabilities;
        let reach = |threshold| probabilities.iter().filter(|&&found| found >= threshold).count();
        let is_guess = reach(LIKELY) == 0;
        let set_of_several =
            SetRequest::new(card, SURE, None).is_ok_and(|cover| reach(cover.set.threshold) > 1);
        is_guess || set_of_several
    }

    /// The prediction set, and facts about it.
    #[must_use]
    pub fn covered(&self, labels: &[String], cover: &SetRequest) -> (Vec<Prediction>, SetFacts) {
        let predictions = set(&self.scores.probabilities, labels, cover.set.threshold);
        let CoverageThreshold { coverage: promised, found, .. } = cover.set;
        let abstained = cover.max_set.map(|most| predictions.len() > most);
        let coverage = Coverage { asked: cover.asked, promised, found };
        (predictions, SetFacts { coverage, abstained })
    }
}

/// The classes with a probability of at least `threshold`, in descending order, and always the best one.
///
/// The rule of Sadinle, Lei and Wasserman 2019 ("Least Ambiguous Set-Valued Classifiers with
/// Bounded Error Levels"), whose sets are the smallest on average. Theirs may be empty; an answer
/// with no class is useless, and one more class only increases the coverage.
#[must_use]
pub fn set(probabilities: &[f32], labels: &[String], threshold: f32) -> Vec<Prediction> {
    let reach = probabilities.iter().filter(|&&found| found >= threshold).count();
    topk::top_k(probabilities, labels, reach.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_in_descending_order_includes_ties_and_is_never_empty() {
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
