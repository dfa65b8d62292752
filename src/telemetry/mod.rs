//! What operators see: log lines and metrics.

mod background; // the thread that writes log lines
pub mod logs;
pub mod metrics;
mod advice; // what to do about each metric

pub use metrics::Metrics;
