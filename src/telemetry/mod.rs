//! Telemetry: log lines, metrics and traces.

mod background; // the thread that writes log lines
pub mod logs;
mod reason; // why an image was rejected
mod load_failure; // why a model could not be loaded
mod declare; // creates and registers metrics
pub mod metrics; // of the process
mod gauge_part; // gauges with contributions of several pipelines
mod families; // the metrics of all models, by model and version
mod model_metrics; // of each pipeline
pub mod openmetrics; // the OpenMetrics text format
mod exemplars; // a recent trace for each bucket of a histogram
mod rate; // decaying average rates
mod traces; // spans for a collector
pub mod spans; // of batches
mod advice; // what to do about each metric

pub use declare::MetricDescription;
pub use gauge_part::GaugePart;
pub use load_failure::LoadFailure;
pub use metrics::Metrics;
pub use model_metrics::{ModelInfo, ModelMetrics};
pub use rate::DecayingRate;
pub use reason::Reason;
pub use traces::{NoTraces, OtlpProtocol, TracePlan, Traces};
