//! The results: latencies in a histogram, failures by kind.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::RunTimes;

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered with classes.
    Good,
    /// It failed: `timeout`, `connection`, or a status with its reason.
    Bad(String),
}

/// The results of the measured part of a run.
#[derive(Debug, Clone)]
pub struct LoadResults {
    times: RunTimes,
    /// Latencies of good responses, in microseconds.
    latencies: Histogram<u64>,
    errors: BTreeMap<String, u64>,
    /// Number of responses during the warm-up.
    uncounted: u64,
}

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Duration of the measurement, in seconds.
    pub seconds: f64,
    /// Number of requests that were due in this time.
    pub requests: u64,
    /// Requests per second.
    pub requests_per_second: f64,
    /// Requests per second that were answered with classes in time.
    pub goodput_per_second: f64,
    /// Latency of good responses in milliseconds, from the time at which the request was due.
    pub latency_ms: Latency,
    /// Number of failed requests, by kind.
    pub errors: BTreeMap<String, u64>,
}

/// Percentiles in milliseconds, with three significant digits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    #[serde(rename = "p99.9")]
    pub p999: f64,
    /// The maximum.
    pub max: f64,
}

impl LoadResults {
    /// An empty result.
    ///
    /// # Panics
    ///
    /// Never: the histogram's bounds are in order.
    #[must_use]
    pub fn new(times: RunTimes) -> Self {
        let hour = 3_600_000_000;
        let latencies = Histogram::new_with_bounds(1, hour, 3).expect("1 µs is less than an hour");
        Self { times, latencies, errors: BTreeMap::new(), uncounted: 0 }
    }

    /// Adds a response: when its request was due, after the start, and how long it took from then.
    pub fn add(&mut self, due: Duration, latency: Duration, outcome: Outcome) {
        if !self.times.counts(due) {
            self.uncounted += 1;
            return;
        }
        match outcome {
            // The request was sent late, so its client would have given up.
            Outcome::Good if latency > self.times.timeout => self.fail("timeout".to_owned()),
            Outcome::Good => {
                let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                self.latencies.saturating_record(micros);
            }
            Outcome::Bad(kind) => self.fail(kind),
        }
    }

    fn fail(&mut self, kind: String) {
        *self.errors.entry(kind).or_default() += 1;
    }

    /// Number of good responses so far.
    #[must_use]
    pub fn good(&self) -> u64 {
        self.latencies.len()
    }

    /// Number of failed requests so far.
    #[must_use]
    pub fn bad(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Number of responses during the warm-up.
    #[must_use]
    pub fn uncounted(&self) -> u64 {
        self.uncounted
    }

    /// The quantile `share` (0 to 1) of the latency of good responses, in milliseconds.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        millis(self.latencies.value_at_quantile(share))
    }

    /// The figures.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
    pub fn summary(&self) -> Summary {
        let seconds = self.times.duration.as_secs_f64();
        let requests = self.good() + self.bad();
        Summary {
            seconds,
            requests,
            requests_per_second: requests as f64 / seconds,
            goodput_per_second: self.good() as f64 / seconds,
            latency_ms: Latency {
                mean: self.latencies.mean() / 1000.0,
                p50: self.quantile(0.5),
                p90: self.quantile(0.9),
                p99: self.quantile(0.99),
                p999: self.quantile(0.999),
                max: millis(self.latencies.max()),
            },
            errors: self.errors.clone(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a request are far below 2^53")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}
