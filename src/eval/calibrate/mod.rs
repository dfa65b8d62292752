//! Fits a calibration on labelled images (a temperature, and thresholds for prediction sets) and
//! measures it on held-out images.

mod ece; // expected calibration error
mod temperature; // temperature scaling
mod thresholds; // conformal prediction sets

use serde::Serialize;
use sha2::{Digest, Sha256};

pub use ece::ece;
pub use temperature::{NoTemperature, nll, temperature};
pub use thresholds::{COVERAGES, thresholds};

use crate::model::CoverageThreshold;
use crate::pipeline::temperature::probabilities;

/// Minimum number of images in each part.
const FEWEST: usize = 10;

/// The logits and the true class of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// The logits, f32 `[classes]`.
    pub logits: Vec<f32>,
    /// The true class.
    pub truth: usize,
}

/// The part of the data that an image belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// For fitting the temperature: about a quarter of the images.
    Temperature,
    /// For the thresholds: another quarter, which the temperature was not fitted on.
    Thresholds,
    /// The test set, for measurements: the other half.
    Measured,
}

impl Split {
    /// Determined by the first byte of the SHA-256 of the image's bytes. Odd: test set; divisible by 4:
    /// temperature; others: thresholds.
    ///
    /// So the part does not depend on an image's name or position, and copies of an image are in the same
    /// part.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match Sha256::digest(bytes)[0] % 4 {
            0 => Self::Temperature,
            2 => Self::Thresholds,
            _ => Self::Measured,
        }
    }
}

/// The images of each part.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    temperature: Vec<Labelled>,
    thresholds: Vec<Labelled>,
    measured: Vec<Labelled>,
}

/// A fitted calibration, and its measurements.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fitted {
    /// The temperature, by which logits are divided.
    pub temperature: f64,
    /// Number of images in each part.
    pub parts: Parts,
    /// Expected calibration error without and with the temperature, 0 to 1.
    pub ece: [f64; 2],
    /// Mean negative log-likelihood without and with it, in nats.
    pub nll: [f64; 2],
    /// The prediction sets for which there are enough images.
    pub sets: Vec<CoverageThreshold>,
}

/// Number of images in each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// For fitting the temperature.
    pub temperature: usize,
    /// For the thresholds of sets.
    pub thresholds: usize,
    /// The test set.
    pub measured: usize,
}

/// A calibration cannot be fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CannotFit {
    /// Too few images.
    #[error(
        "too few images: {} are for the temperature, {} for the thresholds and {} for the measurement; \
         at least {FEWEST} of each are needed, 1,000 of each are recommended; use more labelled images",
        .0.temperature,
        .0.thresholds,
        .0.measured
    )]
    TooFew(Parts),
    /// There is no best temperature.
    #[error(transparent)]
    Temperature(#[from] NoTemperature),
}

impl Evidence {
    /// Adds an image to a part.
    pub fn add(&mut self, part: Split, image: Labelled) {
        match part {
            Split::Temperature => self.temperature.push(image),
            Split::Thresholds => self.thresholds.push(image),
            Split::Measured => self.measured.push(image),
        }
    }

    /// Fits the temperature on one part, computes thresholds from the second, and measures on the third.
    ///
    /// # Errors
    ///
    /// [`CannotFit`] if there are too few images, or no best temperature.
    pub fn fit(&self) -> Result<Fitted, CannotFit> {
        let parts = Parts {
            temperature: self.temperature.len(),
            thresholds: self.thresholds.len(),
            measured: self.measured.len(),
        };
        if parts.temperature.min(parts.thresholds).min(parts.measured) < FEWEST {
            return Err(CannotFit::TooFew(parts));
        }
        let temperature = temperature::temperature(&self.temperature)?;
        let of = |images: &[Labelled], temperature: f64| -> Vec<(Vec<f32>, usize)> {
            let each = |image: &Labelled| (probabilities(&image.logits, temperature), image.truth);
            images.iter().map(each).collect()
        };
        let after = of(&self.measured, temperature);
        let sets = thresholds::thresholds(&of(&self.thresholds, temperature))
            .into_iter()
            .map(|(coverage, threshold)| thresholds::measure(coverage, threshold, &after))
            .collect();
        Ok(Fitted {
            temperature,
            parts,
            ece: [ece(&of(&self.measured, 1.0)), ece(&after)],
            nll: [nll(&self.measured, 1.0), nll(&self.measured, temperature)],
            sets,
        })
    }
}

#[cfg(test)]
mod tests;
