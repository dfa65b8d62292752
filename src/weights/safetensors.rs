//! The safetensors format: a header of names, types and shapes, then the elements.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use safetensors::{SafeTensorError, SafeTensors};

use super::Tensor;

/// Whether a file begins as safetensors do: eight bytes of length, then an object of JSON.
pub(super) fn is_one(path: &Path) -> io::Result<bool> {
    let mut start = Vec::with_capacity(9);
    File::open(path)?.take(9).read_to_end(&mut start)?;
    Ok(start.last() == Some(&b'{') && start.len() == 9)
}

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
