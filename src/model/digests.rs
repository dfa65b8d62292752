//! Digests that identify a model: SHA-256 of its parts, as 64 hexadecimal digits.

use prost::Message;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::Model;
use crate::digest::hex;
use crate::onnx::proto::TensorProto;

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
            if has_typed_elements(tensor) {
                weights.update(tensor.encode_to_vec());
            } else {
                weights.update(tensor.raw_data());
            }
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

/// Whether elements of a constant are in the field of their type instead of `raw_data`, as other programs may write them.
fn has_typed_elements(tensor: &TensorProto) -> bool {
    !(tensor.float_data.is_empty()
        && tensor.double_data.is_empty()
        && tensor.int32_data.is_empty()
        && tensor.int64_data.is_empty()
        && tensor.uint64_data.is_empty()
        && tensor.string_data.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::model::{DEFAULT, Model};

    #[test]
    fn the_digest_of_weights_includes_elements_of_every_field() {
        let model = Model::open(DEFAULT, None).unwrap();
        let digest = |change: &dyn Fn(&mut crate::onnx::proto::TensorProto)| {
            let mut graph = model.graph();
            change(&mut graph.graph_mut().initializer[0]);
            Model::of(model.card.as_ref().clone(), graph).digests().weights
        };
        let floats = |elements: Vec<f32>| {
            digest(&move |tensor| {
                tensor.raw_data = None;
                tensor.float_data.clone_from(&elements);
            })
        };
        assert_eq!(floats(vec![1.0]), floats(vec![1.0]));
        assert_ne!(floats(vec![1.0]), floats(vec![2.0]));
    }
}
