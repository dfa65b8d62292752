//! Finds ONNX Runtime's shared library and loads it, once per process.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use crate::installed;

/// ONNX Runtime, loaded; clones share it.
#[derive(Debug, Clone)]
pub struct Library {
    pub(super) environment: ort::environment::Environment,
    /// Where it was found.
    pub path: PathBuf,
    /// Its version, such as `1.31`.
    pub version: String,
}

/// No usable library. Says what was tried and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// Nothing was found anywhere.
    #[error(
        "ONNX Runtime's library ({file}) was not found; looked for it in:\n{places}\n\
         hint: run scripts/fetch-onnxruntime in the repository, or name the file with \
         --onnxruntime or ORT_DYLIB_PATH",
        file = file_name(),
        places = list(tried)
    )]
    NotFound {
        /// Every place that was looked at.
        tried: Vec<PathBuf>,
    },
    /// The one that was found or named does not load, or is too old.
    #[error(
        "ONNX Runtime's library at {} cannot be used: {reason}\n\
         hint: resnetd needs version 1.{} or later; run scripts/fetch-onnxruntime in the \
         repository, or name another file with --onnxruntime or ORT_DYLIB_PATH",
        path.display(),
        ort::MINOR_VERSION
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The loader's words.
        reason: String,
    },
}

impl Library {
    /// Loads the library: from `explicit` (a file or a folder), `ORT_DYLIB_PATH`, next to the
    /// executable, the repository's `.onnxruntime` folder, or where the system looks.
    ///
    /// # Errors
    ///
    /// [`LibraryError`]; a place that was named by hand is used or refused, never passed over.
    pub fn load(explicit: Option<&Path>) -> Result<Self, LibraryError> {
        let named = explicit.map(Path::to_owned).or_else(|| {
            let path = std::env::var_os("ORT_DYLIB_PATH")?;
            (!path.is_empty()).then(|| PathBuf::from(path))
        });
        if let Some(named) = named {
            let file = if named.is_dir() { named.join(file_name()) } else { named };
            return if file.exists() {
                Self::load_from(&file)
            } else {
                Err(LibraryError::NotFound { tried: vec![file] })
            };
        }
        let places = places();
        match places.iter().find(|path| path.exists()) {
            Some(path) => Self::load_from(path),
            // Last, by name alone: the dynamic linker knows where the system keeps its libraries.
            None => Self::load_from(Path::new(&file_name()))
                .map_err(|_| LibraryError::NotFound { tried: places }),
        }
    }

    fn load_from(path: &Path) -> Result<Self, LibraryError> {
        let unusable = |reason: String| LibraryError::Unusable { path: path.to_owned(), reason };
        let minor = ort::util::probe(path);
        let environment = ort::init_from(path)
            .map_err(|error| unusable(error.to_string()))?
            .with_telemetry(false)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let version = minor.map_or_else(|| "unknown".to_owned(), |minor| format!("1.{minor}"));
        Ok(Self { environment, path: path.to_owned(), version })
    }
}

fn file_name() -> String {
    format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}")
}

fn places() -> Vec<PathBuf> {
    let folders = installed::folders(&[".", "../lib"], ".onnxruntime/lib");
    folders.into_iter().map(|folder| folder.join(file_name())).collect()
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("  {}", path.display())).collect::<Vec<_>>().join("\n")
}
