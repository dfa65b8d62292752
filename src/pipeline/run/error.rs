//! Why a batch has no scores.

/// A batch that gave no scores.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// ONNX Runtime's word.
    #[error("{0}")]
    Runtime(String),
    /// An output is not there, or not of the shape that the batch asks for.
    #[error("output {output} has the shape {found:?}, which does not fit a batch of {images}")]
    Shape {
        /// The output's name.
        output: &'static str,
        /// What came.
        found: Vec<i64>,
        /// What was run.
        images: usize,
    },
}

/// ONNX Runtime's word, without ours around it.
pub(super) fn said(error: &ort::Error) -> String {
    error.message().to_owned()
}
