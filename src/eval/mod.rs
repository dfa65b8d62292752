//! Accuracy on labelled images, through the pipeline that serves.

mod dataset;
mod report;
mod paired; // two models on the same images

pub use dataset::{Dataset, DatasetError, Example};
pub use paired::{Interval, Paired};
pub use report::Report;
