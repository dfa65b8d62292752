//! Constants in files next to the model, as `torch.onnx.export` and `onnx.save` write them.
//!
//! ONNX calls this external data: a tensor has a location (a file next to the model), an offset and a length
//! instead of its elements. This module inserts the elements into the model, on the level of the wire format
//! as in `graft.rs`.

use bytes::Bytes;
use prost::Message;

use super::graft::{GRAPH_INITIALIZER, MODEL_GRAPH, TENSOR_NAME, fields, put, varint};
use super::proto::StringStringEntry;
use super::{Model, NotOnnx};

const TENSOR_RAW_DATA: u64 = 9;
const TENSOR_EXTERNAL_DATA: u64 = 13;
const TENSOR_DATA_LOCATION: u64 = 14;

/// Maximum size of a protobuf message: 2 GiB.
const LARGEST: usize = i32::MAX as usize;

/// The external data of a model cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError<E: std::error::Error> {
    /// The file is not an ONNX model.
    #[error(transparent)]
    NotOnnx(#[from] NotOnnx),
    /// A data file does not exist, or must not be read.
    #[error(transparent)]
    File(E),
    /// The location of a tensor is missing or invalid.
    #[error("the tensor {tensor} does not say in which file and where it is: {why}")]
    Entry {
        /// Its name.
        tensor: String,
        /// The cause.
        why: String,
    },
    /// The data file is too short: it is truncated or belongs to another model.
    #[error(
        "{location} has {found} bytes, the tensor {tensor} needs those from {offset} to {end}: it is cut \
         off, or of another model"
    )]
    Short {
        /// The file.
        location: String,
        /// The tensor.
        tensor: String,
        /// Offset of the tensor's first byte.
        offset: usize,
        /// Offset after the tensor's last byte.
        end: usize,
        /// Size of the file.
        found: usize,
    },
    /// Model and weights exceed the maximum size of a message.
    #[error(
        "model and weights have more than 2 GiB together, which ONNX files with one part cannot have"
    )]
    TooLarge,
}

impl Model {
    /// Whether the model has constants in other files.
    #[must_use]
    pub fn has_external_data(&self) -> bool {
        self.graph().initializer.iter().any(|tensor| tensor.data_location == 1)
    }
}

/// The model in `bytes` with all constants inserted. `read` is called once for each file, with its location
/// in the model.
///
/// # Errors
///
/// [`ExternalError`], which contains the errors of `read`.
pub fn with_data_inside<E: std::error::Error>(
    bytes: &Bytes,
    mut read: impl FnMut(&str) -> Result<Bytes, E>,
) -> Result<Vec<u8>, ExternalError<E>> {
    let mut files: Vec<(String, Bytes)> = Vec::new();
    let mut model = Vec::with_capacity(bytes.len());
    for field in fields(bytes) {
        let field = field?;
        if field.number != MODEL_GRAPH {
            model.extend_from_slice(field.whole);
            continue;
        }
        let mut graph = Vec::with_capacity(field.body.len());
        for part in fields(field.body) {
            let part = part?;
            match part.number {
                GRAPH_INITIALIZER => match inside(part.body, &mut files, &mut read)? {
                    Some(tensor) => put(&mut graph, GRAPH_INITIALIZER, &tensor),
                    None => graph.extend_from_slice(part.whole),
                },
                _ => graph.extend_from_slice(part.whole),
            }
            if graph.len() > LARGEST {
                return Err(ExternalError::TooLarge);
            }
        }
        put(&mut model, MODEL_GRAPH, &graph);
    }
    if model.len() > LARGEST { Err(ExternalError::TooLarge) } else { Ok(model) }
}

/// The tensor with its elements, if they are in another file.
fn inside<E: std::error::Error>(
    tensor: &[u8],
    files: &mut Vec<(String, Bytes)>,
    read: &mut impl FnMut(&str) -> Result<Bytes, E>,
) -> Result<Option<Vec<u8>>, ExternalError<E>> {
    let place = TensorLocation::of(tensor)?;
    if !place.is_elsewhere {
        return Ok(None);
    }
    let wrong =
        |why: &str| ExternalError::Entry { tensor: place.tensor.clone(), why: why.to_owned() };
    let location = place.location.as_deref().ok_or_else(|| wrong("it has no location"))?;
    let offset = place.offset.ok_or_else(|| wrong("its offset is no number"))?;
    let file = if let Some((_, bytes)) = files.iter().find(|(name, _)| name == location) {
        bytes.clone()
    } else {
        let bytes = read(location).map_err(ExternalError::File)?;
        files.push((location.to_owned(), bytes.clone()));
        bytes
    };
    let length = match place.length {
        Length::Bytes(length) => length,
        Length::Rest => file.len().saturating_sub(offset),
        Length::Wrong => return Err(wrong("its length is no number")),
    };
    let end = offset.checked_add(length).ok_or_else(|| wrong("it ends beyond all files"))?;
    let Some(elements) = file.get(offset..end) else {
        let (location, found) = (location.to_owned(), file.len());
        return Err(ExternalError::Short { location, tensor: place.tensor, offset, end, found });
    };
    let mut whole = Vec::with_capacity(tensor.len() + elements.len());
    for field in fields(tensor) {
        let field = field?;
        if ![TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION].contains(&field.number) {
            whole.extend_from_slice(field.whole);
        }
    }
    put(&mut whole, TENSOR_RAW_DATA, elements);
    Ok(Some(whole))
}

/// The length of a tensor's data in its file.
enum Length {
    Bytes(usize),
    /// Up to the end of the file; the length may be omitted.
    Rest,
    Wrong,
}

/// The location of a tensor's elements.
struct TensorLocation {
    tensor: String,
    is_elsewhere: bool,
    location: Option<String>,
    offset: Option<usize>,
    length: Length,
}

impl TensorLocation {
    fn of(tensor: &[u8]) -> Result<Self, NotOnnx> {
        let mut place = Self {
            tensor: String::new(),
            is_elsewhere: false,
            location: None,
            offset: Some(0),
            length: Length::Rest,
        };
        for field in fields(tensor) {
            let field = field?;
            match field.number {
                TENSOR_NAME => place.tensor = String::from_utf8_lossy(field.body).into_owned(),
                TENSOR_DATA_LOCATION => {
                    let value = varint(field.whole).and_then(|(_, after_key)| varint(after_key));
                    place.is_elsewhere = value.is_some_and(|(value, _)| value == 1);
                }
                TENSOR_EXTERNAL_DATA => {
                    let StringStringEntry { key, value } = StringStringEntry::decode(field.body)?;
                    match key.as_str() {
                        "location" => place.location = Some(value),
                        "offset" => place.offset = value.parse().ok(),
                        "length" => {
                            place.length = value.parse().map_or(Length::Wrong, Length::Bytes);
                        }
                        _ => {} // such as a checksum
                    }
                }
                _ => {}
            }
        }
        Ok(place)
    }
}
