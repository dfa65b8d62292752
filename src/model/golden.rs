//! Golden photos: images with known logits, to check a model when it is loaded.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// An image with the logits that the training framework computes for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// The encoded image in base64; PNG, so that all decoders give the same pixels.
    pub photo: String,
    /// f32 `[classes]`.
    pub logits: Vec<f32>,
}

impl Golden {
    /// The bytes of the encoded image; `None` if `photo` is not base64.
    #[must_use]
    pub fn bytes(&self) -> Option<Bytes> {
        BASE64_STANDARD.decode(&self.photo).ok().map(Bytes::from)
    }
}
