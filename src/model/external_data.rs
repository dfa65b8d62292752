//! Files beside an ONNX model that hold its weights: which of them may be read.

use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use super::ModelError;
use crate::onnx;

/// A location that a model names for its weights, and that is not read.
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
pub(super) fn with_weights(path: &Path, graph: onnx::Model) -> Result<onnx::Model, ModelError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    graph.with_data_inside(|location| read(folder, location)).map_err(|error| {
        ModelError::ExternalData { path: path.to_owned(), reason: error.to_string() }
    })
}

fn read(folder: &Path, location: &str) -> Result<Bytes, BadLocation> {
    let outside = || BadLocation::Outside { location: location.to_owned() };
    let is_beside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if location.is_empty() || !Path::new(location).components().all(is_beside) {
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
    // A link is followed before it is decided where it leads.
    let file = path.canonicalize().map_err(failed)?;
    if !allowed(folder).iter().any(|allowed| file.starts_with(allowed)) {
        return Err(outside());
    }
    std::fs::read(&file).map(Bytes::from).map_err(failed)
}

/// Where files of a model in `folder` may be: in it, and for a snapshot of the hub's cache, whose files
/// are links, in the folder that they lead to.
fn allowed(folder: &Path) -> Vec<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(folder) = folder.canonicalize() else { return Vec::new() };
    // The graph may be in a folder of the snapshot.
    let snapshots = folder.ancestors().skip(1).take(2).find(|above| above.ends_with("snapshots"));
    let blobs = snapshots.and_then(Path::parent).map(|repository| repository.join("blobs"));
    std::iter::once(folder.clone()).chain(blobs).collect()
}
