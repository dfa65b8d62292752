//! Digests that identify a model: SHA-256 of its parts, as 64 hexadecimal digits.

use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::Model;
use crate::digest::hex;

/// Digests of what is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Digests {
    /// Of the ONNX bytes that run; equal to `sha256sum` of a file of `resnetd export`.
    pub graph: String,
    /// Of the graph's constants: name, shape, type and elements of each, in order.
    pub weights: String,
    /// Of the card, as entries of the graph's metadata.
    pub card: String,
}

impl Model {
    /// Computes the model's digests.
    #[must_use]
    pub fn digests(&self) -> Digests {
        let model = self.graph();
        let mut weights = Sha256::new();
        for tensor in &model.graph().initializer {
            weights.update(tensor.name());
            weights.update([0]); // so that no name can run into a shape
            weights.update(tensor.data_type().to_le_bytes());
            weights.update((tensor.dims.len() as u64).to_le_bytes());
            for size in &tensor.dims {
                weights.update(size.to_le_bytes());
            }
            weights.update(tensor.raw_data());
        }
        let mut card = Sha256::new();
        for (key, value) in self.card.to_metadata() {
            for text in [key, value] {
                card.update((text.len() as u64).to_le_bytes());
                card.update(text);
            }
        }
        Digests {
            graph: self.graph_digest(),
            weights: hex(&weights.finalize()),
            card: hex(&card.finalize()),
        }
    }

    /// The digest of the graph alone, as in [`Digests::graph`].
    #[must_use]
    pub fn graph_digest(&self) -> String {
        hex(&Sha256::digest(&self.onnx))
    }
}
