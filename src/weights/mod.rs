//! Weight files: tensors by name.

mod safetensors; // safetensors files, without copying
mod pytorch; // state dicts, parsed without running their pickle
mod shards; // several files with an index
mod framework; // PyTorch or TensorFlow
mod names; // renames tensors to torchvision's names
mod inverted; // renames tensors of inverted residual networks
mod head; // finds the classifier
mod unsupported; // describes files without weights
mod tensor; // one tensor, as float32
mod check; // compares tensors with a network
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

pub(crate) use check::first_lines;
pub use check::{CheckedWeights, Finding};
pub use framework::Framework;
pub use tensor::{DataType, Tensor};
pub use unsupported::UnsupportedFile;

/// A tensor that a network needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name, as in torchvision's state dicts.
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
}

/// The tensors of a file by name. They are not checked against a network yet.
#[derive(Debug, Clone)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
    /// Messages about tensors that were renamed or ignored.
    notes: Vec<String>,
    /// The training framework, as far as the names show it.
    framework: Framework,
}

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The file contains no weights, or is of a format that is not supported.
    #[error("{} is {kind}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// The file's actual format.
        kind: UnsupportedFile,
    },
    /// A truncated safetensors file.
    #[error(
        "{} is truncated: it has {found} bytes, its header says {whole}\nhint: download or copy it again",
        path.display()
    )]
    CutOff {
        /// The file.
        path: PathBuf,
        /// Size of the file, in bytes.
        found: usize,
        /// Size of the complete file, in bytes.
        whole: usize,
    },
    /// The bytes are not a valid safetensors file.
    #[error("not a safetensors file: {source}")]
    Format {
        /// The cause.
        source: ::safetensors::SafeTensorError,
    },
    /// A file that begins like a safetensors file, but is not a valid one.
    #[error(
        "{} is not a valid safetensors file: {source}\nhint: download or copy it again", path.display()
    )]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: ::safetensors::SafeTensorError,
    },
    /// Neither a safetensors file nor a valid file of `torch.save`.
    #[error(
        "{} is neither a safetensors file nor a state dict of PyTorch: {source}", path.display()
    )]
    Pytorch {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: pytorch_reader::PytorchError,
    },
    /// A pickle with objects other than tensors and plain values.
    #[error(
        "{} contains objects that could only be restored by running its pickle ({}), which resnetd does not do\n\
         hint: save the weights alone, with torch.save(model.state_dict(), path)",
        path.display(), objects.join(", ")
    )]
    Objects {
        /// The file.
        path: PathBuf,
        /// Their types, by name.
        objects: Vec<String>,
    },
    /// One tensor, which has no name.
    #[error(
        "{} contains one tensor without a name, not a state dict\n\
         hint: save all weights with their names: torch.save(model.state_dict(), path)",
        path.display()
    )]
    OneTensor {
        /// The file.
        path: PathBuf,
    },
    /// The index of a model with several weight files is invalid.
    #[error("{} does not describe its files: {why}", path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// The cause.
        why: String,
    },
    /// The tensors differ from those that the network needs.
    #[error("the weights do not fit the network:\n{}", first_lines(findings))]
    Misfit {
        /// All differences: first those of the network's tensors, in its order, then unexpected tensors, by name.
        findings: Vec<Finding>,
    },
}

impl Weights {
    /// Reads a safetensors file, a state dict of PyTorch, or all files of an index
    /// (`model.safetensors.index.json`). An index is detected by its extension, the other formats by the content.
    ///
    /// The names may be those of torchvision, timm, Hugging Face transformers, EfficientNet-PyTorch, or of CIFAR
    /// ports.
    ///
    /// # Errors
    ///
    /// Any [`WeightsError`] except [`WeightsError::Misfit`].
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let is_index = path.extension().is_some_and(|extension| extension == "json");
        let (tensors, notes) = if is_index { shards::open(path)? } else { open_file(path)? };
        let named = Self::named(tensors);
        Ok(Self { notes: [notes, named.notes].concat(), ..named })
    }

    /// Reads the bytes of a safetensors file, without copying them.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Format`].
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self, WeightsError> {
        let tensors =
            safetensors::read(&bytes.into()).map_err(|source| WeightsError::Format { source })?;
        Ok(Self::named(tensors))
    }

    /// Weights from names, shapes and row-major elements.
    ///
    /// # Panics
    ///
    /// If a shape and its number of elements differ.
    pub fn from_tensors(tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>) -> Self {
        let tensors = tensors
            .into_iter()
            .map(|(name, shape, values)| (name, Tensor::from_values(shape, &values)))
            .collect();
        Self::named(tensors)
    }

    fn named(tensors: BTreeMap<String, Tensor>) -> Self {
        let names::RenamedTensors { tensors, notes, framework } =
            names::rename_to_torchvision(tensors);
        Self { tensors, notes, framework }
    }

    /// Tensors without elements, for tests of names and shapes.
    #[cfg(test)]
    pub(crate) fn without_elements(specs: &[TensorSpec]) -> Self {
        let without_elements = |spec: &TensorSpec| Tensor {
            data_type: DataType::F32,
            shape: spec.shape.clone(),
            bytes: Bytes::new(),
        };
        let tensors =
            specs.iter().map(|spec| (spec.name.clone(), without_elements(spec))).collect();
        Self { tensors, notes: Vec::new(), framework: Framework::PyTorch }
    }

    /// Messages about tensors that were renamed or ignored, one sentence each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The training framework: [`Framework::PyTorch`], unless the names are those of a port from TensorFlow.
    #[must_use]
    pub fn framework(&self) -> Framework {
        self.framework
    }

    /// The tensors with their names, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

/// The tensors of one file, and messages about ignored parts.
fn open_file(path: &Path) -> Result<(BTreeMap<String, Tensor>, Vec<String>), WeightsError> {
    let failed = |source| WeightsError::Read { path: path.to_owned(), source };
    if let Some(kind) = unsupported::kind_of(path).map_err(failed)? {
        return Err(WeightsError::Other { path: path.to_owned(), kind });
    }
    if !safetensors::is_safetensors(path).map_err(failed)? {
        return pytorch::open(path);
    }
    let bytes: Bytes = std::fs::read(path).map_err(failed)?.into();
    if let Some(whole) = safetensors::length(&bytes).filter(|&whole| whole > bytes.len()) {
        return Err(WeightsError::CutOff { path: path.to_owned(), found: bytes.len(), whole });
    }
    let invalid = |source| WeightsError::InvalidFile { path: path.to_owned(), source };
    Ok((safetensors::read(&bytes).map_err(invalid)?, Vec::new()))
}
