//! Checks a card's golden photos, from decoding to logits, whenever a model is loaded, before it serves.

use super::Output;
use super::decode::{self, DecodeError, Limits};
use super::run::{Batch, InputShape, Outputs, RunError};
use crate::model::{ModelCard, Precision};

/// The check of a golden photo failed.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// A golden photo cannot be decoded.
    #[error("golden photo {number} of the card cannot be read: {source}")]
    Photo {
        /// Its number, from 1.
        number: usize,
        /// The decoder's error.
        source: DecodeError,
    },
    /// The run failed.
    #[error("running golden photo {number} of the card failed: {source}")]
    Run {
        /// Its number, from 1.
        number: usize,
        /// The error of the run.
        source: RunError,
    },
    /// The logits differ.
    #[error(
        "the model does not match its card: golden photo {number} has logit {found} for {label} instead of \
         {expected}; rounding explains at most {tolerance} of the largest logit\n\
         hint: check that weights, labels, preprocessing and golden photos come from the same training run"
    )]
    Missed {
        /// Its number, from 1.
        number: usize,
        /// The class with the largest difference.
        label: String,
        /// Its computed logit.
        found: f32,
        /// Its logit in the card.
        expected: f32,
        /// The tolerance for this precision, relative to the largest logit.
        tolerance: f32,
    },
}

/// Runs the card's golden photos with `run`, and compares the logits.
///
/// # Errors
///
/// [`GoldenError`] for the first image whose logits differ.
///
/// # Panics
///
/// Never: a valid card's golden photos are base64 and have a logit for each label.
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

/// The class whose logit differs most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Furthest {
    /// Its index.
    pub class: usize,
    /// The difference, relative to the largest expected logit; infinite if it is not a number.
    pub difference: f32,
}

/// Finds the largest difference between `found` and `expected`, both f32 `[classes]`.
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

/// The difference that rounding can cause, relative to the largest logit.
fn tolerance(precision: Precision) -> f32 {
    match precision {
        Precision::Fp32 => 1e-3,
        Precision::Fp16 => 2e-2,
        Precision::Int8 => 0.2,
    }
}
