//! Accuracy on labelled images, through the pipeline that serves.

mod dataset;
mod report;
pub mod calibrate; // how far scores can be trusted
pub mod reference; // photos with the trainer's logits
mod pages; // what a parquet file takes
mod paired; // two models on the same images

pub use dataset::{Dataset, DatasetError, Example};
pub use paired::{Interval, Paired};
pub use report::Report;
