//! Why a model could not be loaded.

/// Why a model could not be loaded; the label `reason` of `model_loads_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadFailure {
    /// The model does not exist, or it cannot be read or downloaded.
    Unreadable,
    /// A file is truncated or not of its format.
    Damaged,
    /// A file or the graph has another digest than expected.
    Digest,
    /// The card is missing, invalid, or does not match the graph or the weights.
    Card,
    /// This version does not support the architecture, format or precision.
    Unsupported,
    /// The device is not available.
    Device,
    /// ONNX Runtime rejected the graph, or the first run failed.
    Runtime,
    /// A golden photo has other scores than the card says.
    Golden,
    /// The system cannot start threads, loading panicked, or the error has no class of its own.
    Internal,
}

impl LoadFailure {
    /// All reasons, so that each is exported as 0 before it first occurs.
    pub const ALL: [Self; 9] = [
        Self::Unreadable,
        Self::Damaged,
        Self::Digest,
        Self::Card,
        Self::Unsupported,
        Self::Device,
        Self::Runtime,
        Self::Golden,
        Self::Internal,
    ];

    /// Name of the reason in metrics and log lines.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Damaged => "damaged",
            Self::Digest => "digest",
            Self::Card => "card",
            Self::Unsupported => "unsupported",
            Self::Device => "device",
            Self::Runtime => "runtime",
            Self::Golden => "golden",
            Self::Internal => "internal",
        }
    }
}
