//! Accuracy on labelled images, through the pipeline that serves.

mod dataset;
mod report;

pub use dataset::{Dataset, DatasetError, Example};
pub use report::Report;
