//! Temperature scaling: fits the temperature by maximum likelihood.

use super::Labelled;

/// Valid temperatures. Others mean that labels or data are wrong.
const RANGE: [f64; 2] = [0.02, 50.0];

/// Steps of the bisection: more digits than are needed.
const STEPS: usize = 50;

/// No valid temperature is the best one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoTemperature {
    /// The likelihood increases down to the lowest temperature.
    #[error(
        "the best temperature is below {}: the network is right on all images that the temperature is \
         fitted on; use more or harder images", RANGE[0]
    )]
    NeverWrong,
    /// The likelihood increases up to the highest temperature.
    #[error(
        "the best temperature is above {}: the network's scores are unrelated to the labels; check that \
         the labels are in the order of its outputs", RANGE[1]
    )]
    NothingKnown,
}

/// The temperature with the smallest negative log-likelihood, to four decimals.
///
/// The log-likelihood is concave in `1 / temperature` (the method of Guo et al. 2017, section 4.2, is a
/// linear model with one weight). So its slope has one zero, which bisection finds for any logits. Computed
/// in f64.
///
/// # Errors
///
/// [`NoTemperature`] if the slope has no zero between 0.02 and 50.
pub fn temperature(images: &[Labelled]) -> Result<f64, NoTemperature> {
    let [coldest, hottest] = RANGE.map(f64::ln);
    if slope(images, coldest.exp()) <= 0.0 {
        return Err(NoTemperature::NeverWrong);
    }
    if slope(images, hottest.exp()) > 0.0 {
        return Err(NoTemperature::NothingKnown);
    }
    let (mut low, mut high) = (coldest, hottest);
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if slope(images, middle.exp()) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let temperature = f64::midpoint(low, high).exp();
    Ok((temperature * 1e4).round() / 1e4)
}

/// The mean of `-ln p(truth)`, in nats.
#[must_use]
pub fn nll(images: &[Labelled], temperature: f64) -> f64 {
    mean(images, |Labelled { logits, truth }| {
        let largest = largest(logits);
        let sum: f64 = logits.iter().map(|z| ((f64::from(*z) - largest) / temperature).exp()).sum();
        sum.ln() - (f64::from(logits[*truth]) - largest) / temperature
    })
}

/// The derivative of the negative log-likelihood with respect to `1 / temperature`: the expected logit minus
/// the logit of the true class. It decreases when the temperature increases.
fn slope(images: &[Labelled], temperature: f64) -> f64 {
    mean(images, |Labelled { logits, truth }| {
        let largest = largest(logits);
        let (mut sum, mut weighed) = (0.0, 0.0);
        for logit in logits {
            let below = f64::from(*logit) - largest;
            let weight = (below / temperature).exp();
            sum += weight;
            weighed += weight * below;
        }
        weighed / sum - (f64::from(logits[*truth]) - largest)
    })
}

fn largest(logits: &[f32]) -> f64 {
    f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max))
}

#[expect(clippy::cast_precision_loss, reason = "counts of images are far below 2^53")]
fn mean(images: &[Labelled], of: impl Fn(&Labelled) -> f64) -> f64 {
    images.iter().map(of).sum::<f64>() / images.len().max(1) as f64
}
