//! Calibration of a model's scores: the temperature, and thresholds for conformal prediction sets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Values fitted on labelled images for one precision. `resnetd eval --calibrate` writes it;
/// `docs/calibration.md` describes the method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The logits are divided by this before the softmax. Above 1 if the network is overconfident.
    pub temperature: f64,
    /// Data set of the images.
    pub dataset: String,
    /// Number of images used to fit the temperature.
    pub temperature_images: usize,
    /// Number of images used to compute the thresholds, disjoint from those of the temperature.
    pub threshold_images: usize,
    /// Number of test images: none of them was used for fitting, and all figures here were measured on them.
    pub measured_images: usize,
    /// Expected calibration error with temperature 1, from 0 to 1.
    pub ece_before: f64,
    /// Expected calibration error with this temperature.
    pub ece_after: f64,
    /// The command that reproduces the calibration.
    pub command: String,
    /// The available prediction sets, by increasing coverage.
    pub sets: Vec<CoverageThreshold>,
}

/// A coverage and its threshold: the prediction set has all classes with probability ≥ threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CoverageThreshold {
    /// The nominal coverage, 0 to 1: how often the set contains the true class.
    pub coverage: f64,
    /// The minimum probability of a class in the set.
    pub threshold: f32,
    /// The coverage measured on the test images.
    pub found: f64,
    /// Mean number of classes in the sets of the test images.
    pub mean_size: f64,
}

/// An invalid calibration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadCalibration {
    /// The temperature is not a positive number.
    #[error("temperature is {0}; it must be a positive number")]
    Temperature(f64),
    /// Coverages or thresholds that are out of range or out of order.
    #[error(
        "entry {0} of sets is invalid; coverage must be between 0 and 1 and increase from entry to entry, \
         threshold must be from 0 to 1 and must not increase"
    )]
    Sets(usize),
}

impl Calibration {
    /// Validates the values.
    ///
    /// # Errors
    ///
    /// [`BadCalibration`] for the first invalid value.
    pub fn check(&self) -> Result<(), BadCalibration> {
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return Err(BadCalibration::Temperature(self.temperature));
        }
        let mut before = (0.0, 1.0);
        for (index, CoverageThreshold { coverage, threshold, .. }) in self.sets.iter().enumerate() {
            let rises = *coverage > before.0 && *coverage < 1.0;
            if !(rises && (0.0..=before.1).contains(threshold)) {
                return Err(BadCalibration::Sets(index + 1));
            }
            before = (*coverage, *threshold);
        }
        Ok(())
    }

    /// The entry with the smallest coverage ≥ `coverage`; `None` outside of [`Calibration::range`].
    #[must_use]
    pub fn set_for(&self, coverage: f64) -> Option<&CoverageThreshold> {
        let (low, _) = self.range()?;
        self.sets.iter().find(|set| set.coverage >= coverage && coverage >= low)
    }

    /// The smallest and the largest available coverage.
    #[must_use]
    pub fn range(&self) -> Option<(f64, f64)> {
        Some((self.sets.first()?.coverage, self.sets.last()?.coverage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration_with(temperature: f64, sets: &[(f64, f32)]) -> Calibration {
        let set = |&(coverage, threshold): &(f64, f32)| CoverageThreshold {
            coverage,
            threshold,
            found: coverage,
            mean_size: 1.0,
        };
        Calibration {
            temperature,
            dataset: "photos".to_owned(),
            temperature_images: 25,
            threshold_images: 25,
            measured_images: 50,
            ece_before: 0.1,
            ece_after: 0.05,
            command: "resnetd eval --calibrate".to_owned(),
            sets: sets.iter().map(set).collect(),
        }
    }

    #[test]
    fn the_next_larger_coverage_is_chosen_and_none_outside_the_range() {
        let calibration = calibration_with(1.5, &[(0.5, 0.9), (0.9, 0.3), (0.95, 0.1)]);
        calibration.check().unwrap();
        for (asked, promised) in [
            (0.5, Some(0.5)),
            (0.500_001, Some(0.9)),
            (0.9, Some(0.9)),
            (0.93, Some(0.95)),
            (0.95, Some(0.95)),
            (0.950_001, None),
            (0.499, None),
            (f64::NAN, None),
        ] {
            let found = calibration.set_for(asked).map(|set| set.coverage);
            assert_eq!(found, promised, "{asked}");
        }
        assert_eq!(calibration_with(1.5, &[]).set_for(0.9), None);
    }

    #[test]
    fn invalid_temperatures_and_sets_are_errors() {
        for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let wrong = calibration_with(temperature, &[]).check().unwrap_err();
            assert!(matches!(wrong, BadCalibration::Temperature(_)), "{temperature}");
        }
        for (sets, wrong) in [
            (&[(0.9, 0.3), (0.9, 0.2)][..], 2),
            (&[(0.8, 0.3), (0.9, 0.4)], 2),
            (&[(1.0, 0.3)], 1),
            (&[(0.9, f32::NAN)], 1),
            (&[(0.9, -0.1)], 1),
        ] {
            assert_eq!(
                calibration_with(1.0, sets).check(),
                Err(BadCalibration::Sets(wrong)),
                "{sets:?}"
            );
        }
    }
}
