//! Weight files: tensors by name.

mod safetensors; // safetensors files, without copying
mod pytorch; // state dicts, parsed without running their pickle
mod shards; // several files with an index
mod framework; // PyTorch or TensorFlow
mod names; // renames tensors to torchvision's names
mod inverted; // renames those of inverted residual networks
mod head; // finds the classifier
mod other; // describes files without weights
mod tensor; // one tensor, as float32
mod check; // compares tensors with a network
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

pub use check::{CheckedWeights, Finding};
pub use framework::Framework;
pub use other::OtherFile;
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
    /// What was renamed or left out when the file was read, in words.
    notes: Vec<String>,
    /// Where they were trained, as far as their names tell.
    framework: Framework,
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
    /// A file that holds no weights, or not in a form that is read.
    #[error("{} is {kind}", path.display())]
    Other {
        /// Which file.
        path: PathBuf,
        /// What it is, and what helps.
        kind: OtherFile,
    },
    /// A part of a safetensors file.
    #[error(
        "{} is truncated: it has {found} bytes, its header says {whole}\nhint: download or copy it again",
        path.display()
    )]
    CutOff {
        /// Which file.
        path: PathBuf,
        /// Bytes that are there.
        found: usize,
        /// Bytes that the whole file has.
        whole: usize,
    },
    /// The bytes are not a safetensors file, or not all of one.
    #[error("not a safetensors file: {source}")]
    Format {
        /// What is wrong with them.
        source: ::safetensors::SafeTensorError,
    },
    /// Neither safetensors nor anything that `torch.save` writes, or not all of it.
    #[error(
        "{} is neither a safetensors file nor a state dict of PyTorch: {source}", path.display()
    )]
    Pytorch {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pytorch_reader::PytorchError,
    },
    /// A pickle with more in it than tensors and plain values.
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
    /// The index of weights in several files is wrong.
    #[error("{} does not describe its files: {why}", path.display())]
    Index {
        /// Which index.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The tensors are not the ones the network needs.
    #[error("the weights do not fit the network:\n{}", check::lines(findings))]
    Misfit {
        /// Everything that is wrong: first what is missing, then what is there, by name.
        findings: Vec<Finding>,
    },
}

impl Weights {
    /// Reads a safetensors file, a state dict of PyTorch, or all files of an index
    /// (`model.safetensors.index.json`). Which one a file is, its content says.
    ///
    /// Names may be torchvision's, timm's, or those of Hugging Face transformers.
    ///
    /// # Errors
    ///
    /// Every [`WeightsError`] but [`WeightsError::Misfit`].
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let is_index = path.extension().is_some_and(|extension| extension == "json");
        let (tensors, notes) = if is_index { shards::open(path)? } else { open_file(path)? };
        let named = Self::named(tensors);
        Ok(Self { notes: [notes, named.notes].concat(), ..named })
    }

    /// Reads a safetensors file's bytes, which are kept and not copied.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Format`].
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self, WeightsError> {
        let tensors =
            safetensors::read(&bytes.into()).map_err(|source| WeightsError::Format { source })?;
        Ok(Self::named(tensors))
    }

    /// Weights made in the program: name, shape and row-major elements.
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
        let names::RenamedTensors { tensors, notes, framework } = names::as_torchvisions(tensors);
        Self { tensors, notes, framework }
    }

    /// Tensors of these names and shapes without elements, for tests that look at no more.
    #[cfg(test)]
    pub(crate) fn hollow(specs: &[TensorSpec]) -> Self {
        let hollow = |spec: &TensorSpec| Tensor {
            data_type: DataType::F32,
            shape: spec.shape.clone(),
            bytes: Bytes::new(),
        };
        let tensors = specs.iter().map(|spec| (spec.name.clone(), hollow(spec))).collect();
        Self { tensors, notes: Vec::new(), framework: Framework::PyTorch }
    }

    /// What was renamed or left out when the file was read, a sentence each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Where they were trained, as far as their names tell: in [`Framework::PyTorch`] unless the names
    /// are those of a port from TensorFlow.
    #[must_use]
    pub fn framework(&self) -> Framework {
        self.framework
    }

    /// The tensors with their names, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }
}

/// The tensors of one file, and words about what was chosen and left out.
fn open_file(path: &Path) -> Result<(BTreeMap<String, Tensor>, Vec<String>), WeightsError> {
    let failed = |source| WeightsError::Read { path: path.to_owned(), source };
    if let Some(kind) = other::kind_of(path).map_err(failed)? {
        return Err(WeightsError::Other { path: path.to_owned(), kind });
    }
    if !safetensors::is_one(path).map_err(failed)? {
        return pytorch::open(path);
    }
    let bytes: Bytes = std::fs::read(path).map_err(failed)?.into();
    if let Some(whole) = safetensors::length(&bytes).filter(|&whole| whole > bytes.len()) {
        return Err(WeightsError::CutOff { path: path.to_owned(), found: bytes.len(), whole });
    }
    let tensors = safetensors::read(&bytes).map_err(|source| WeightsError::Format { source })?;
    Ok((tensors, Vec::new()))
}
