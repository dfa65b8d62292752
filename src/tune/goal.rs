//! What to optimise.

use std::time::Duration;

use serde::Serialize;

/// What to optimise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// The highest throughput.
    Throughput,
    /// The highest throughput at which the 99th percentile of latency stays below this.
    Latency(Duration),
}
