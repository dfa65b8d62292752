//! External weights of an ONNX model: decides which files may be read, and inserts them.

use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use super::ModelError;
use crate::onnx;

/// A location of external weights that is rejected or cannot be read.
#[derive(Debug, thiserror::Error)]
enum BadLocation {
    #[error(
        "its weights are in {location:?}, outside the model's folder; only files in that folder \
         are read"
    )]
    Outside { location: String },
    #[error(
        "its weights are in {}, which does not exist; put the file next to the model, under this name",
        path.display()
    )]
    Missing { path: PathBuf },
    #[error("its weights are in {}, which cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
}

/// `graph`, which was read from `path`, with the weights of the files beside it inside.
pub(super) fn with_weights(
    path: &Path,
    graph: onnx::OnnxModel,
) -> Result<onnx::OnnxModel, ModelError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    graph.with_data_inside(|location| read(folder, location)).map_err(|error| {
        ModelError::ExternalData { path: path.to_owned(), reason: error.to_string() }
    })
}

fn read(folder: &Path, location: &str) -> Result<Bytes, BadLocation> {
    let outside = || BadLocation::Outside { location: location.to_owned() };
    let is_relative =
        |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if location.is_empty() || !Path::new(location).components().all(is_relative) {
        return Err(outside());
    }
    let path = folder.join(location);
    let failed = |source: std::io::Error| {
        let path = path.clone();
        if source.kind() == std::io::ErrorKind::NotFound {
            BadLocation::Missing { path }
        } else {
            BadLocation::Unreadable { path, source }
        }
    };
    // Symbolic links are resolved before the check.
    let file = path.canonicalize().map_err(failed)?;
    if !allowed(folder).iter().any(|allowed| file.starts_with(allowed)) {
        return Err(outside());
    }
    std::fs::read(&file).map(Bytes::from).map_err(failed)
}

/// Folders in which files of a model in `folder` may be: the folder itself, and for a snapshot in the hub's
/// cache, whose files are links, the folder of their targets.
fn allowed(folder: &Path) -> Vec<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(folder) = folder.canonicalize() else { return Vec::new() };
    // The graph may be in a subfolder of the snapshot.
    let snapshots = folder.ancestors().skip(1).take(2).find(|above| above.ends_with("snapshots"));
    let blobs = snapshots.and_then(Path::parent).map(|repository| repository.join("blobs"));
    std::iter::once(folder.clone()).chain(blobs).collect()
}
