//! Finds ONNX Runtime's shared library and loads it, once per process.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use crate::installed;

/// ONNX Runtime's loaded library; clones share it.
#[derive(Debug, Clone)]
pub struct Library {
    pub(super) environment: ort::environment::Environment,
    /// Path of the library.
    pub path: PathBuf,
    /// Its version, such as `1.31`.
    pub version: String,
}

/// No usable library was found. The message lists the candidates and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The library was not found.
    #[error(
        "ONNX Runtime's library ({file}) was not found; looked for it in:\n{candidates}\n\
         hint: run scripts/fetch-onnxruntime in the repository, or pass its path with \
         --onnxruntime or ORT_DYLIB_PATH",
        file = file_name(),
        candidates = list(tried)
    )]
    NotFound {
        /// All paths that were tried.
        tried: Vec<PathBuf>,
    },
    /// The library cannot be loaded, or is too old.
    #[error(
        "ONNX Runtime's library at {} cannot be used: {reason}\n\
         hint: resnetd needs version 1.{} or later; run scripts/fetch-onnxruntime in the \
         repository, or pass the path of another one with --onnxruntime or ORT_DYLIB_PATH",
        path.display(),
        ort::MINOR_VERSION
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The loader's error.
        reason: String,
    },
}

impl Library {
    /// Loads the library from `explicit` (a file or a folder), `ORT_DYLIB_PATH`, the executable's
    /// folder, `../lib` from there, the repository's `.onnxruntime` folder, or the system's library path.
    ///
    /// # Errors
    ///
    /// [`LibraryError`]. If `explicit` or `ORT_DYLIB_PATH` is set, no other place is tried.
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
        let candidates = candidates();
        match candidates.iter().find(|path| path.exists()) {
            Some(path) => Self::load_from(path),
            // Only the file name: the dynamic linker searches the system's library path.
            None => Self::load_from(Path::new(&file_name())).map_err(|error| match error {
                LibraryError::Unusable { path, reason } if !is_missing(&reason) => {
                    LibraryError::Unusable { path, reason }
                }
                LibraryError::Unusable { .. } | LibraryError::NotFound { .. } => {
                    LibraryError::NotFound { tried: candidates }
                }
            }),
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

/// Whether the dynamic linker found no library, rather than one that it cannot load.
fn is_missing(reason: &str) -> bool {
    reason.contains(&format!("{}: cannot open shared object file", file_name()))
}

fn file_name() -> String {
    format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}")
}

fn candidates() -> Vec<PathBuf> {
    let folders = installed::folders(&[".", "../lib"], ".onnxruntime/lib");
    folders.into_iter().map(|folder| folder.join(file_name())).collect()
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("  {}", path.display())).collect::<Vec<_>>().join("\n")
}
