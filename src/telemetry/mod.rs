//! What operators see: log lines and metrics.

mod background; // the thread that writes log lines
pub mod logs;
pub mod metrics; // of the process
mod model_metrics; // of each model

pub use metrics::Metrics;
pub use model_metrics::{ModelInfo, ModelMetrics};
