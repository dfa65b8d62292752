//! A photo becomes labels.

pub mod decode;
pub mod preprocess;
