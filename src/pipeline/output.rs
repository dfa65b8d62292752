//! The outputs of a graph.

/// The outputs of a graph; foreign graphs lack the last two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// f32 `[N, classes]`, before the softmax or sigmoid.
    Logits,
    /// f32 `[N, classes]`, after the softmax, or the sigmoid of a multi-label network.
    Probabilities,
    /// f32 `[N, channels]`, the input of the last linear layer: for most networks the pooled features.
    Embedding,
    /// f32 `[N, channels, height, width]`, the input of the global average pooling.
    FeatureMap,
}

impl Output {
    /// Its name in the graph.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Embedding => "embedding",
            Self::FeatureMap => "feature_map",
        }
    }
}
