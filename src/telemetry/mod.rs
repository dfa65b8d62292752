//! What operators see: log lines, metrics and traces.

mod background; // the thread that writes log lines
pub mod logs;
mod reason; // why an image was rejected
mod declare; // makes and registers metrics
pub mod metrics; // of the process
mod gauge_part; // gauges that several pipelines add to
mod model_metrics; // of each model
pub mod openmetrics; // the OpenMetrics text format
mod exemplars; // a recent trace for each bucket of a histogram
mod rate; // how often something happens
mod traces; // spans for a collector
pub mod spans; // of batches
mod advice; // what to do about each metric

pub use declare::MetricDescription;
pub use gauge_part::GaugePart;
pub use metrics::Metrics;
pub use model_metrics::{ModelInfo, ModelMetrics};
pub use rate::DecayingRate;
pub use reason::Reason;
pub use traces::{NoTraces, OtlpProtocol, TracePlan, Traces};
