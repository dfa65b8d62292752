//! Constants in files next to the model, as `torch.onnx.export` and `onnx.save` write them.
//!
//! ONNX calls this external data: a tensor has a location (a file next to the model), an offset and a length
//! instead of its elements.

use bytes::Bytes;
use prost::Message;

use super::OnnxModel;
use super::proto::TensorProto;
use super::proto::tensor_proto::DataLocation;

/// Maximum size of a protobuf message: 2 GiB.
const LARGEST: usize = i32::MAX as usize;

/// The external data of a model cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError<E: std::error::Error> {
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

impl OnnxModel {
    /// Whether the model has constants in other files.
    #[must_use]
    pub fn has_external_data(&self) -> bool {
        self.graph().initializer.iter().any(is_external)
    }

    /// The model with all constants inserted, which share the memory of the files. `read` is called once for
    /// each file, with its location in the model.
    ///
    /// # Errors
    ///
    /// [`ExternalError`], which contains the errors of `read`.
    pub fn with_data_inside<E: std::error::Error>(
        mut self,
        mut read: impl FnMut(&str) -> Result<Bytes, E>,
    ) -> Result<Self, ExternalError<E>> {
        let mut files: Vec<(String, Bytes)> = Vec::new();
        let mut inserted = 0;
        for tensor in self.graph_mut().initializer.iter_mut().filter(|tensor| is_external(tensor)) {
            let place = TensorLocation::of::<E>(tensor)?;
            let file =
                if let Some((_, bytes)) = files.iter().find(|(name, _)| *name == place.location) {
                    bytes.clone()
                } else {
                    let bytes = read(&place.location).map_err(ExternalError::File)?;
                    files.push((place.location.clone(), bytes.clone()));
                    bytes
                };
            let elements = place.elements::<E>(tensor, &file)?;
            inserted += elements.len();
            if inserted > LARGEST {
                return Err(ExternalError::TooLarge);
            }
            tensor.raw_data = Some(elements);
            (tensor.external_data, tensor.data_location) = (Vec::new(), None);
        }
        if self.proto.encoded_len() > LARGEST { Err(ExternalError::TooLarge) } else { Ok(self) }
    }
}

fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location() == DataLocation::External
}

/// The location of a tensor's elements.
struct TensorLocation {
    location: String,
    offset: usize,
    /// Without it, the elements are the rest of the file.
    length: Option<usize>,
}

impl TensorLocation {
    fn of<E: std::error::Error>(tensor: &TensorProto) -> Result<Self, ExternalError<E>> {
        let entry = |key: &str| {
            let entry = tensor.external_data.iter().rfind(|entry| entry.key() == key)?;
            Some(entry.value())
        };
        let number = |key: &str| entry(key).map(str::parse::<usize>).transpose();
        let location = entry("location").ok_or_else(|| wrong(tensor, "it has no location"))?;
        let offset = number("offset").map_err(|_| wrong(tensor, "its offset is no number"))?;
        let length = number("length").map_err(|_| wrong(tensor, "its length is no number"))?;
        Ok(Self { location: location.to_owned(), offset: offset.unwrap_or(0), length })
    }

    fn elements<E: std::error::Error>(
        &self,
        tensor: &TensorProto,
        file: &Bytes,
    ) -> Result<Bytes, ExternalError<E>> {
        let length = self.length.unwrap_or(file.len().saturating_sub(self.offset));
        let end = self.offset.checked_add(length);
        let end = end.ok_or_else(|| wrong(tensor, "it ends beyond all files"))?;
        if end > file.len() {
            return Err(ExternalError::Short {
                location: self.location.clone(),
                tensor: tensor.name().to_owned(),
                offset: self.offset,
                end,
                found: file.len(),
            });
        }
        Ok(file.slice(self.offset..end))
    }
}

fn wrong<E: std::error::Error>(tensor: &TensorProto, why: &str) -> ExternalError<E> {
    ExternalError::Entry { tensor: tensor.name().to_owned(), why: why.to_owned() }
}
