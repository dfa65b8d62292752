//! What a model does not support.

/// An output or explanation that a model does not support.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOffered {
    /// The graph has no output for the feature map.
    #[error(
        "this model's graph has no output feature_map, which class activation maps need; remove \
         explain=cam"
    )]
    NoFeatureMap,
    /// The graph ends in other layers.
    #[error(
        "this model does not end in global average pooling and one linear layer (float32, or int8 as resnetd \
         quantize writes it), so it has no exact class activation map; remove explain=cam"
    )]
    OtherHead,
    /// The graph has no output for the features.
    #[error("this model has no embeddings: its graph has no output embedding; use another model")]
    NoEmbedding,
}
