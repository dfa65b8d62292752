//! What operators see: log lines and metrics.

mod background; // lines written by a thread of their own
pub mod logs;
pub mod metrics;

pub use metrics::Metrics;
