//! Temperature scaling: calibrated probabilities from logits.

use std::borrow::Cow;

use super::queue::Scores;

/// The softmax of `logits` divided by `temperature`.
///
/// f32 `[classes]`, computed in f64 (Guo et al. 2017, "On Calibration of Modern Neural Networks").
/// Does not change the order of the classes.
#[must_use]
pub fn probabilities(logits: &[f32], temperature: f64) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: &f32| ((f64::from(*logit) - f64::from(largest)) / temperature).exp();
    let sum: f64 = logits.iter().map(weight).sum();
    #[expect(clippy::cast_possible_truncation, reason = "a probability, as in the graph's output")]
    logits.iter().map(|logit| (weight(logit) / sum) as f32).collect()
}

/// The logits divided by the temperature.
pub(super) fn scaled(logits: &[f32], temperature: Option<f64>) -> Cow<'_, [f32]> {
    #[expect(clippy::cast_possible_truncation, reason = "a logit, as in the graph's output")]
    let divided = |by| logits.iter().map(|logit| (f64::from(*logit) / by) as f32).collect();
    temperature.map_or(Cow::Borrowed(logits), |by| Cow::Owned(divided(by)))
}

/// The same scores with calibrated probabilities; unchanged without a temperature.
pub(super) fn calibrated(scores: Scores, temperature: Option<f64>) -> Scores {
    match temperature {
        None => scores,
        Some(temperature) => {
            let probabilities = probabilities(&scores.logits, temperature);
            Scores { probabilities, ..scores }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_temperature_above_1_moves_probabilities_towards_each_other_and_one_below_1_apart() {
        let logits = [2.0_f32, 0.0, -1e30];
        let sure = |temperature| probabilities(&logits, temperature)[0];
        assert!((sure(1.0) - 1.0 / (1.0 + (-2.0_f32).exp())).abs() < 1e-7);
        assert!((sure(2.0) - 1.0 / (1.0 + (-1.0_f32).exp())).abs() < 1e-7);
        assert!(sure(0.01) > 0.999_999 && (sure(1e6) - 0.5).abs() < 1e-5);
        assert_eq!(probabilities(&[3e38, -3e38], 0.01), [1.0, 0.0]);
    }

    proptest! {
        #[test]
        fn a_temperature_keeps_the_order_and_the_sum_of_1(
            logits in proptest::collection::vec(-30.0_f32..30.0, 1..20),
            temperature in 0.05_f64..20.0,
        ) {
            let found = probabilities(&logits, temperature);
            prop_assert!((found.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            for (a, x) in logits.iter().zip(&found) {
                for (b, y) in logits.iter().zip(&found) {
                    prop_assert!(a.total_cmp(b).is_lt() || x >= y, "{} {} {} {}", a, b, x, y);
                }
            }
        }
    }
}
