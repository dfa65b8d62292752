//! Build river, second part: tensors by name.

mod safetensors; // a file's bytes, not copied
mod tensor; // one tensor, as float32
mod check; // wanted against found
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

pub use check::{CheckedWeights, Finding};
pub use tensor::{DataType, Tensor};

/// A tensor that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name, as in torchvision's state dicts.
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
}

/// Tensors by name, as a file has them; nothing is known yet about what they fit.
#[derive(Debug, Clone)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are not a safetensors file, or not all of one.
    #[error("not a safetensors file: {source}")]
    Format {
        /// What is wrong with them.
        source: ::safetensors::SafeTensorError,
    },
    /// The tensors are not the ones the network needs.
    #[error("the weights do not fit the network:\n{}", check::lines(findings))]
    Misfit {
        /// Everything that is wrong: first what is missing, then what is there, by name.
        findings: Vec<Finding>,
    },
}

impl Weights {
    /// Reads a safetensors file.
    ///
    /// # Errors
    /// [`WeightsError::Read`] and [`WeightsError::Format`].
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let bytes = std::fs::read(path)
            .map_err(|source| WeightsError::Read { path: path.to_owned(), source })?;
        Self::from_bytes(bytes)
    }

    /// Reads a safetensors file's bytes, which are kept and not copied.
    ///
    /// # Errors
    /// [`WeightsError::Format`].
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self, WeightsError> {
        let tensors =
            safetensors::read(&bytes.into()).map_err(|source| WeightsError::Format { source })?;
        Ok(Self { tensors })
    }

    /// Weights made in the program: name, shape and row-major elements.
    ///
    /// # Panics
    /// If a shape and its number of elements differ.
    pub fn from_tensors(tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>) -> Self {
        let tensors = tensors
            .into_iter()
            .map(|(name, shape, values)| (name, Tensor::from_values(shape, &values)))
            .collect();
        Self { tensors }
    }

    /// The tensors with their names, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}
