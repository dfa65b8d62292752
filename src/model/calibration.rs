//! How far a model's scores can be trusted: what makes them probabilities, and which sets of
//! classes hold the truth how often.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What was fitted on labelled images in one precision; `resnetd eval --calibrate` makes it and
/// `docs/calibration.md` says how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// What the logits are divided by before the softmax. Above 1 the network was too sure.
    pub temperature: f64,
    /// On which data.
    pub dataset: String,
    /// Images that the temperature was fitted on.
    pub temperature_images: usize,
    /// Images that the thresholds were taken from; the temperature has not seen them.
    pub threshold_images: usize,
    /// Images that nothing was fitted on; every figure here was measured on them.
    pub measured_images: usize,
    /// Expected calibration error with the temperature 1, 0 to 1.
    pub ece_before: f64,
    /// And with this temperature.
    pub ece_after: f64,
    /// The command that makes it again.
    pub command: String,
    /// The sets that can be promised, by rising coverage.
    pub sets: Vec<Promise>,
}

/// A share of images whose true class is in the set of all classes at least so probable.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// The share that is promised, 0 to 1.
    pub coverage: f64,
    /// What a class's probability must reach to be in the set.
    pub threshold: f32,
    /// The share that was found on images that nothing was fitted on.
    pub found: f64,
    /// How many classes the sets had there on average.
    pub mean_size: f64,
}

/// A calibration that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadCalibration {
    /// A temperature that nothing can be divided by.
    #[error("temperature is {0}; it must be a positive number")]
    Temperature(f64),
    /// Numbers that no fit gives.
    #[error(
        "sets must have rising coverage between 0 and 1 and thresholds from 0 to 1 that do not rise; \
         number {0} has not"
    )]
    Sets(usize),
}

impl Calibration {
    /// Whether it can be used.
    ///
    /// # Errors
    ///
    /// [`BadCalibration`], the first that is found.
    pub fn check(&self) -> Result<(), BadCalibration> {
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return Err(BadCalibration::Temperature(self.temperature));
        }
        let mut before = (0.0, 1.0);
        for (index, Promise { coverage, threshold, .. }) in self.sets.iter().enumerate() {
            let rises = *coverage > before.0 && *coverage < 1.0;
            if !(rises && (0.0..=before.1).contains(threshold)) {
                return Err(BadCalibration::Sets(index + 1));
            }
            before = (*coverage, *threshold);
        }
        Ok(())
    }

    /// The least that can be promised and is at least `coverage`; `None` outside of
    /// [`Calibration::range`].
    #[must_use]
    pub fn promise(&self, coverage: f64) -> Option<&Promise> {
        let (low, _) = self.range()?;
        self.sets.iter().find(|promise| promise.coverage >= coverage && coverage >= low)
    }

    /// The smallest and the largest coverage that can be promised.
    #[must_use]
    pub fn range(&self) -> Option<(f64, f64)> {
        Some((self.sets.first()?.coverage, self.sets.last()?.coverage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(temperature: f64, sets: &[(f64, f32)]) -> Calibration {
        let promise = |&(coverage, threshold): &(f64, f32)| Promise {
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
            sets: sets.iter().map(promise).collect(),
        }
    }

    #[test]
    fn between_two_coverages_the_larger_is_promised_and_outside_none() {
        let calibration = with(1.5, &[(0.5, 0.9), (0.9, 0.3), (0.95, 0.1)]);
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
            let found = calibration.promise(asked).map(|promise| promise.coverage);
            assert_eq!(found, promised, "{asked}");
        }
        assert_eq!(with(1.5, &[]).promise(0.9), None);
    }

    #[test]
    fn numbers_that_no_fit_gives_are_refused() {
        for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let wrong = with(temperature, &[]).check().unwrap_err();
            assert!(matches!(wrong, BadCalibration::Temperature(_)), "{temperature}");
        }
        for (sets, wrong) in [
            (&[(0.9, 0.3), (0.9, 0.2)][..], 2),
            (&[(0.8, 0.3), (0.9, 0.4)], 2),
            (&[(1.0, 0.3)], 1),
            (&[(0.9, f32::NAN)], 1),
            (&[(0.9, -0.1)], 1),
        ] {
            assert_eq!(with(1.0, sets).check(), Err(BadCalibration::Sets(wrong)), "{sets:?}");
        }
    }
}
