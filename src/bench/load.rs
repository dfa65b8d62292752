//! The load: when requests are sent.

use std::time::Duration;

use serde::Serialize;

/// Determines when the next request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "loop", rename_all = "lowercase")]
pub enum Load {
    /// Closed loop: each client sends its next request after the response to the last, so a slow server gets
    /// fewer requests.
    Closed {
        /// Number of clients.
        concurrency: usize,
    },
    /// Open loop: requests arrive in a Poisson process, independent of responses. Latency is measured from
    /// the time at which a request was due, so it includes stalls that delayed sending (no coordinated
    /// omission).
    Open {
        /// Requests per second.
        rate: f64,
        /// Seed of the random arrival times.
        seed: u64,
    },
}

/// The measured part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunTimes {
    /// Duration of the warm-up, whose requests are not counted.
    pub warm_up: Duration,
    /// Duration of the measurement after the warm-up.
    pub duration: Duration,
    /// Requests that take longer count as failed.
    pub timeout: Duration,
}

impl RunTimes {
    /// Duration of the whole run.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.warm_up + self.duration
    }

    /// Whether a request is counted that was due at this time after the start.
    #[must_use]
    pub fn counts(&self, due: Duration) -> bool {
        due >= self.warm_up && due < self.total()
    }
}

/// The arrival times of a Poisson process, measured from the start: an infinite ascending sequence.
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
