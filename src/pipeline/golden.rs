//! Checks the golden photos of a card, from bytes to logits, before the server is ready.

use super::Output;
use super::decode::{self, DecodeError, Limits};
use super::run::{Batch, InputShape, Outputs, RunError};
use crate::model::{ModelCard, Precision};

/// The model does not give the logits of its card's golden photos.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// A golden photo cannot be decoded.
    #[error("golden photo {number} of the card cannot be read: {source}")]
    Photo {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// It did not run.
    #[error("golden photo {number} of the card does not run: {source}")]
    Run {
        /// Which one, from 1.
        number: usize,
        /// What happened.
        source: RunError,
    },
    /// Other scores.
    #[error(
        "the model does not match its card: golden photo {number} has logit {found} for {label}, the \
         card says {expected}; at most {tolerance} of the largest logit would be rounding\n\
         hint: check that weights, labels, preprocessing and golden photos come from the same training run"
    )]
    Missed {
        /// Which one, from 1.
        number: usize,
        /// The class that is furthest off.
        label: String,
        /// Its logit.
        found: f32,
        /// Its logit by the card.
        expected: f32,
        /// The share of the largest logit that the precision may cost.
        tolerance: f32,
    },
}

/// Has `run` classify the card's golden photos, and compares the logits.
///
/// # Errors
///
/// [`GoldenError`] for the first photo whose logits differ.
///
/// # Panics
///
/// Never: a card's golden photos are base64, and have a logit for each label.
pub fn check(
    card: &ModelCard,
    mut run: impl FnMut(&Batch) -> Result<Outputs, RunError>,
) -> Result<(), GoldenError> {
    let tolerance = tolerance(card.precision);
    for (number, golden) in (1..).zip(&card.golden) {
        let bytes = golden.bytes().expect("a card's golden photos are base64");
        let unreadable = |source| GoldenError::Photo { number, source };
        let header = decode::inspect(&bytes, &Limits::default()).map_err(unreadable)?;
        let image = decode::decode(&bytes, &header, decode::Watch::never()).map_err(unreadable)?;
        let mut batch = Batch::with_capacity(InputShape::of(&card.preprocess), 1);
        batch.push(&card.preprocess.apply(&image));
        let outputs = run(&batch).map_err(|source| GoldenError::Run { number, source })?;
        let found = outputs.row(Output::Logits, 0);

        let Furthest { class, difference } = furthest(found, &golden.logits);
        if difference > tolerance {
            return Err(GoldenError::Missed {
                number,
                label: card.labels[class].clone(),
                found: found[class],
                expected: golden.logits[class],
                tolerance,
            });
        }
    }
    Ok(())
}

/// The class whose logit is furthest from where it should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Furthest {
    /// Its index.
    pub class: usize,
    /// How far it is off, as a share of the largest logit that is expected; infinite where it is
    /// not a number.
    pub difference: f32,
}

/// Where `found` is furthest from `expected`, both f32 `[classes]`.
#[must_use]
pub fn furthest(found: &[f32], expected: &[f32]) -> Furthest {
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let differences = found.iter().zip(expected).map(|(found, expected)| {
        let difference = (found - expected).abs() / largest;
        if difference.is_nan() { f32::INFINITY } else { difference }
    });
    let furthest = differences.enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
    let (class, difference) = furthest.unwrap_or((0, 0.0));
    Furthest { class, difference }
}

/// How far arithmetic alone may move a logit, as a share of the largest.
fn tolerance(precision: Precision) -> f32 {
    match precision {
        Precision::Fp32 => 1e-3,
        Precision::Fp16 => 2e-2,
        Precision::Int8 => 0.2,
    }
}
