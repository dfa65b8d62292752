//! Why a change of the models was not made, or not completely.

/// Why a model was not loaded or unloaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// No source has this name.
    #[error("there is no model {name:?}; the models are {models}")]
    Unknown {
        /// The requested name.
        name: String,
        /// The available names.
        models: String,
    },
    /// It could not be loaded; the previous version continues to serve.
    #[error("the model {name:?} could not be loaded: {reason}")]
    Failed {
        /// The model's name.
        name: String,
        /// The error.
        reason: String,
    },
    /// The configuration or the model repository cannot be read.
    #[error("the models cannot be listed: {0}")]
    Sources(String),
}

/// Whether the weights of all loaded models are within the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightLimit {
    /// They are, or there is no limit.
    Met,
    /// They would be `bytes`, and `limit` is allowed.
    Exceeded {
        /// Bytes of all weights.
        bytes: u64,
        /// `--model-memory-limit`.
        limit: u64,
    },
}
