//! The safetensors format: a header of names, types and shapes, then the elements.

use std::collections::BTreeMap;

use bytes::Bytes;
use safetensors::{SafeTensorError, SafeTensors};

use super::Tensor;

/// The tensors of a file, each a slice of its bytes.
pub(super) fn read(bytes: &Bytes) -> Result<BTreeMap<String, Tensor>, SafeTensorError> {
    let file = SafeTensors::deserialize(bytes)?;
    let tensors = file.iter().map(|(name, view)| {
        let tensor = Tensor {
            data_type: view.dtype(),
            shape: view.shape().to_vec(),
            bytes: bytes.slice_ref(view.data()),
        };
        (name.to_owned(), tensor)
    });
    Ok(tensors.collect())
}
