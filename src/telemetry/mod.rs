//! What operators see: log lines, metrics and traces.

mod background; // the thread that writes log lines
pub mod logs;
pub mod metrics;
mod traces; // spans for a collector
mod advice; // what to do about each metric

pub use metrics::Metrics;
pub use traces::{NoTraces, OtlpProtocol, TracePlan, Traces};
