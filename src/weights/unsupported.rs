//! Recognises files without weights and files of unsupported formats, and says what to do instead.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// The type of a file that cannot be used as weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnsupportedFile {
    /// An empty file.
    Empty,
    /// A Git LFS pointer instead of the file.
    GitLfsPointer,
    /// An HTML page instead of the file.
    Html,
    /// HDF5, the format of Keras' `.h5` files.
    Hdf5,
    /// A `.keras` archive.
    Keras,
    /// A TorchScript archive of `torch.jit.save`.
    TorchScript,
    /// An archive of `torch.export.save`.
    ExportedProgram,
    /// NumPy arrays.
    Numpy,
    /// A TensorFlow Lite model.
    TfLite,
    /// A truncated zip archive of `torch.save`.
    HalfZip,
}

impl UnsupportedFile {
    /// Whether the file is a part of a download or something in its place, so that copying it again helps.
    pub(crate) fn is_incomplete(self) -> bool {
        match self {
            Self::Empty | Self::GitLfsPointer | Self::Html | Self::HalfZip => true,
            Self::Hdf5
            | Self::Keras
            | Self::TorchScript
            | Self::ExportedProgram
            | Self::Numpy
            | Self::TfLite => false,
        }
    }
}

/// Bytes read from the end of a file, where a zip archive has the list of its files.
const END: u64 = 256 << 10;

/// The type of the file at `path`, if it is one of these.
///
/// # Errors
///
/// If the file cannot be read.
pub(super) fn kind_of(path: &Path) -> io::Result<Option<UnsupportedFile>> {
    let mut file = File::open(path)?;
    let mut start = Vec::with_capacity(512);
    (&mut file).take(512).read_to_end(&mut start)?;
    let text = start.trim_ascii_start();
    let begins =
        |word: &[u8]| text.len() >= word.len() && text[..word.len()].eq_ignore_ascii_case(word);
    Ok(if start.is_empty() {
        Some(UnsupportedFile::Empty)
    } else if begins(b"version https://git-lfs") {
        Some(UnsupportedFile::GitLfsPointer)
    } else if begins(b"<!doctype html") || begins(b"<html") {
        Some(UnsupportedFile::Html)
    } else if start.starts_with(b"\x89HDF\r\n\x1a\n") {
        Some(UnsupportedFile::Hdf5)
    } else if start.starts_with(b"\x93NUMPY") {
        Some(UnsupportedFile::Numpy)
    } else if start.get(4..8) == Some(b"TFL3") {
        Some(UnsupportedFile::TfLite)
    } else if start.starts_with(b"PK\x03\x04") {
        kind_of_zip(&mut file)?
    } else {
        None
    })
}

/// The type of a zip archive, from the names of its files.
fn kind_of_zip(file: &mut File) -> io::Result<Option<UnsupportedFile>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
    let mut end = Vec::new();
    file.take(END).read_to_end(&mut end)?;
    let has = |word: &[u8]| end.windows(word.len()).any(|window| window == word);
    Ok(if !has(b"PK\x05\x06") {
        Some(UnsupportedFile::HalfZip)
    } else if has(b"model.weights.h5") {
        Some(UnsupportedFile::Keras)
    } else if has(b"archive_format") || has(b"serialized_exported_program.json") {
        Some(UnsupportedFile::ExportedProgram)
    } else if has(b"/code/") && has(b"constants.pkl") {
        Some(UnsupportedFile::TorchScript)
    } else if has(b".npyPK") {
        Some(UnsupportedFile::Numpy)
    } else {
        None
    })
}

impl fmt::Display for UnsupportedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty\nhint: download or copy it again",
            Self::GitLfsPointer => {
                "a Git LFS pointer, a few lines of text in the place of the file\nhint: run git lfs pull in \
                 its repository"
            }
            Self::Html => {
                "an HTML page, not weights: a download was answered with a web page\nhint: open the address \
                 in a browser to see what it says, and download the file itself"
            }
            Self::Hdf5 | Self::Keras => {
                "a model or weights of Keras, which are not read\nhint: export it to ONNX, in Python: \
                 keras.models.load_model(\"model.keras\").export(\"model.onnx\", format=\"onnx\")"
            }
            Self::TorchScript => {
                "TorchScript, which is a program and not weights\nhint: save its weights alone, in Python: \
                 torch.save(torch.jit.load(\"model.pt\", map_location=\"cpu\").state_dict(), \"weights.pth\")"
            }
            Self::ExportedProgram => {
                "a program of torch.export, which is not read\nhint: save its weights alone, in Python: \
                 torch.save(torch.export.load(\"model.pt2\").state_dict, \"weights.pth\")"
            }
            Self::Numpy => {
                "an array, or an archive of arrays, of numpy, which is not read\nhint: save the weights as \
                 safetensors, in Python: safetensors.numpy.save_file(dict(numpy.load(\"weights.npz\")), \
                 \"weights.safetensors\")"
            }
            Self::TfLite => {
                "a model of TensorFlow Lite, which is not read\nhint: export it to ONNX: python -m \
                 tf2onnx.convert --tflite model.tflite --output model.onnx"
            }
            Self::HalfZip => "cut off: a zip archive without its end\nhint: download or copy it again",
        })
    }
}
