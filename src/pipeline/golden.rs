//! Golden photos of a card, from bytes to logits, before anybody is served.

use super::decode::{self, DecodeError, Limits};
use super::run::{Batch, Engine, InputShape, Output, RunError};
use crate::model::{ModelCard, Precision};

/// A model that does not give the scores that its card promises.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// A photo that is none.
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
        "this is not the model of its card: golden photo {number} has logit {found} for {label}, the \
         card says {expected}; at most {tolerance} of the largest logit would be rounding\n\
         hint: weights, labels, preprocessing or the golden photos are of another training"
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

/// Runs the card's golden photos and holds the logits against the card's.
///
/// # Errors
///
/// [`GoldenError`] for the first photo that misses.
///
/// # Panics
///
/// Never: a card's golden photos are base64, and have a logit for each label.
pub fn check(card: &ModelCard, engine: &mut Engine) -> Result<(), GoldenError> {
    let tolerance = tolerance(card.precision);
    for (number, golden) in (1..).zip(&card.golden) {
        let bytes = golden.bytes().expect("a card's golden photos are base64");
        let unreadable = |source| GoldenError::Photo { number, source };
        let header = decode::inspect(&bytes, &Limits::default()).map_err(unreadable)?;
        let image = decode::decode(&bytes, &header).map_err(unreadable)?;
        let mut batch = Batch::with_capacity(InputShape::of(&card.preprocess), 1);
        batch.push(&card.preprocess.apply(&image));
        let outputs = engine(&batch).map_err(|source| GoldenError::Run { number, source })?;
        let found = outputs.row(Output::Logits, 0);

        let largest = golden.logits.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        let off = |class: usize| (found[class] - golden.logits[class]).abs();
        let worst = (0..found.len()).max_by(|&a, &b| off(a).total_cmp(&off(b)));
        let missed = |class: usize| off(class).is_nan() || off(class) > tolerance * largest;
        if let Some(class) = worst.filter(|&class| missed(class)) {
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

/// How far arithmetic alone may move a logit, as a share of the largest.
fn tolerance(precision: Precision) -> f32 {
    match precision {
        Precision::Fp32 => 1e-3,
        Precision::Fp16 => 2e-2,
        Precision::Int8 => 0.2,
    }
}
