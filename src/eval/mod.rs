//! Accuracy and calibration on labelled images: data sets, comparisons and reports. `cli/eval.rs` classifies the images.

mod dataset;
mod report;
pub mod calibrate; // calibration
pub mod reference; // photos with the training framework's logits
mod parquet_pages; // sizes in parquet page headers
mod paired; // compares two models on the same images

pub use dataset::{Dataset, DatasetError, Example, IMAGE_EXTENSIONS, is_image};
pub use paired::{Interval, Paired};
pub use report::Report;
