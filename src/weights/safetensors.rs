//! The safetensors format: a header of names, types and shapes, then the elements.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use safetensors::{SafeTensorError, SafeTensors};
use serde::Deserialize;

use super::Tensor;

/// Whether a file begins like a safetensors file: a length of eight bytes, then a JSON object.
pub(super) fn is_safetensors(path: &Path) -> io::Result<bool> {
    let mut start = Vec::with_capacity(9);
    File::open(path)?.take(9).read_to_end(&mut start)?;
    Ok(start.last() == Some(&b'{') && start.len() == 9)
}

/// The size of the complete file according to the header at the start of `bytes`; `None` if the header cannot
/// be read.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let header = usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok()?;
    let Some(header) = bytes.get(8..header.checked_add(8)?) else {
        return (header < LARGEST_HEADER).then_some(header + 8);
    };
    let tensors: BTreeMap<String, HeaderEntry> = serde_json::from_slice(header).ok()?;
    let end = tensors.values().filter_map(|tensor| Some(tensor.data_offsets?[1])).max()?;
    end.checked_add(8 + header.len())
}

/// Maximum length of a header in this format.
const LARGEST_HEADER: usize = 100_000_000;

/// A tensor's entry in the header. The metadata's entry has none of these fields.
#[derive(Deserialize)]
struct HeaderEntry {
    data_offsets: Option<[usize; 2]>,
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
