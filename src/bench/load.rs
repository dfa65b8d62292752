//! When requests are sent.

use std::time::Duration;

use serde::Serialize;

/// Who decides when the next request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "loop", rename_all = "lowercase")]
pub enum Load {
    /// The answers do: so many clients, each of which sends again once it is answered. A slow
    /// server is sent less.
    Closed {
        /// How many clients.
        concurrency: usize,
    },
    /// A clock does: arrivals of a Poisson process, whatever becomes of the ones before. Latency
    /// counts from the time at which a request was due, so a stall is not hidden by the
    /// requests that it kept from being sent.
    Open {
        /// Requests a second.
        rate: f64,
        /// Of the arrivals' random numbers.
        seed: u64,
    },
}

/// Which part of a run counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Sent and answered, and not counted.
    pub warm_up: Duration,
    /// Counted, after that.
    pub duration: Duration,
    /// An answer that takes longer is none.
    pub timeout: Duration,
}

impl Window {
    /// From the first request to the last.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.warm_up + self.duration
    }

    /// Whether a request that was due so long after the start counts.
    #[must_use]
    pub fn counts(&self, due: Duration) -> bool {
        due >= self.warm_up && due < self.total()
    }
}

/// Arrivals of a Poisson process: times from the start, rising, without end.
pub(super) fn arrivals(rate: f64, seed: u64) -> impl Iterator<Item = Duration> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut at = 0.0;
    std::iter::repeat_with(move || {
        // The time between two arrivals is exponential; 1 − u is never 0.
        at -= (1.0 - random.f64()).ln() / rate;
        Duration::from_secs_f64(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_have_the_mean_and_the_spread_of_a_poisson_process() {
        let times: Vec<f64> =
            arrivals(50.0, 7).take(20_000).map(|time| time.as_secs_f64()).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let squares: Vec<f64> = gaps.iter().map(|gap| gap * gap).collect();
        // Exponential gaps: mean 1/rate, mean square 2/rate².
        assert!((mean(&gaps) * 50.0 - 1.0).abs() < 0.03, "{}", mean(&gaps));
        assert!((mean(&squares) * 2500.0 - 2.0).abs() < 0.15, "{}", mean(&squares));
        assert_eq!(arrivals(50.0, 7).nth(5), arrivals(50.0, 7).nth(5));
    }
}
