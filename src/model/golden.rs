//! Photos whose scores are known, so that a load can be checked.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A photo with the logits that the trainer's own framework gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// The encoded image, in base64; PNG, so that every decoder reads the same.
    pub photo: String,
    /// f32 `[classes]`.
    pub logits: Vec<f32>,
}

impl Golden {
    /// The encoded image's bytes; `None` where `photo` is not base64.
    #[must_use]
    pub fn bytes(&self) -> Option<Bytes> {
        BASE64_STANDARD.decode(&self.photo).ok().map(Bytes::from)
    }
}
