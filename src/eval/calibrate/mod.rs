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

use crate::model::Promise;
use crate::pipeline::temperature::probabilities;

/// The fewest images that say anything, in each part.
const FEWEST: usize = 10;

/// One image's logits, f32 `[classes]`, and its class.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// What the network says.
    pub logits: Vec<f32>,
    /// What is true.
    pub truth: usize,
}

/// What an image is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The temperature is fitted on it: about a quarter of the images.
    Temperature,
    /// Thresholds are taken from it: another quarter, so that nothing before them has seen it.
    Thresholds,
    /// Everything is measured on it: the other half.
    Measured,
}

impl Split {
    /// By the first byte of the SHA-256 of the image's bytes: odd is measured, and of the rest those
    /// that 4 divides are for the temperature.
    ///
    /// So an image has its part whatever it is called and wherever it stands, and copies of an image
    /// are together.
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

/// What was fitted, and what it is worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fitted {
    /// What the logits are divided by.
    pub temperature: f64,
    /// How many images were used for what.
    pub parts: Parts,
    /// Expected calibration error without and with the temperature, 0 to 1.
    pub ece: [f64; 2],
    /// Mean negative log-likelihood without and with it, in nats.
    pub nll: [f64; 2],
    /// The sets that can be promised.
    pub sets: Vec<Promise>,
}

/// How many images are in each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// For the temperature.
    pub temperature: usize,
    /// For the thresholds of sets.
    pub thresholds: usize,
    /// To measure both with.
    pub measured: usize,
}

/// Images that nothing can be fitted on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CannotFit {
    /// Not enough of them.
    #[error(
        "too few images: {} are for the temperature, {} for the thresholds and {} for the measurement; \
         at least {FEWEST} of each are needed, and 1,000 are recommended",
        .0.temperature,
        .0.thresholds,
        .0.measured
    )]
    TooFew(Parts),
    /// No temperature is the best.
    #[error(transparent)]
    Temperature(#[from] NoTemperature),
}

impl Evidence {
    /// One image more.
    pub fn add(&mut self, part: Split, image: Labelled) {
        match part {
            Split::Temperature => self.temperature.push(image),
            Split::Thresholds => self.thresholds.push(image),
            Split::Measured => self.measured.push(image),
        }
    }

    /// Fits the temperature on one part, takes thresholds from the next, measures on the last.
    ///
    /// # Errors
    ///
    /// [`CannotFit`] where there are too few images, or none of them tells a temperature.
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
