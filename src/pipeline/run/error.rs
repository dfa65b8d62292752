//! Errors of a run.

/// Why a batch has no scores.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// The error text from ONNX Runtime.
    #[error("{0}")]
    Runtime(String),
    /// An output is missing, or has a shape that does not match the batch.
    #[error("output {output} has the shape {found:?}, which does not fit a batch of {images}")]
    Shape {
        /// The output's name.
        output: &'static str,
        /// Shape of the output.
        found: Vec<i64>,
        /// Number of images in the run.
        images: usize,
    },
}

/// The error text from ONNX Runtime, without the prefix that `ort` adds.
pub(super) fn ort_message(error: &ort::Error) -> String {
    error.message().to_owned()
}
