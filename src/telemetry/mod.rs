//! What operators see: log lines, metrics and traces.

mod background; // the thread that writes log lines
pub mod logs;
mod reason; // why an image was rejected
mod declare; // makes and registers metrics
pub mod metrics; // of the process
mod gauge_part; // gauges that several pipelines add to
mod model_metrics; // of each model
mod traces; // spans for a collector
mod advice; // what to do about each metric

pub use declare::MetricDescription;
pub use gauge_part::GaugePart;
pub use metrics::Metrics;
pub use model_metrics::{ModelInfo, ModelMetrics};
pub use reason::Reason;
pub use traces::{NoTraces, OtlpProtocol, TracePlan, Traces};
