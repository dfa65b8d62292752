//! Weights in several files, with an index of the tensors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Deserialize;

use super::{Tensor, WeightsError, open_file};

/// `model.safetensors.index.json`, as Hugging Face's libraries write it.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// The tensors of all files that the index at `path` lists, which are in the same folder.
pub(super) fn open(path: &Path) -> Result<(BTreeMap<String, Tensor>, Vec<String>), WeightsError> {
    let wrong = |why: String| WeightsError::Index { path: path.to_owned(), why };
    let text = std::fs::read(path)
        .map_err(|source| WeightsError::Read { path: path.to_owned(), source })?;
    let ShardIndex { weight_map } =
        serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;

    let (mut tensors, mut notes) = (BTreeMap::new(), Vec::new());
    for file in weight_map.values().collect::<BTreeSet<_>>() {
        // The index is untrusted: it must not make the server read files outside of its folder.
        if !matches!(Path::new(file).components().collect::<Vec<_>>()[..], [Component::Normal(_)]) {
            return Err(wrong(format!("{file:?} is not the name of a file beside it")));
        }
        let (part, said) = open_file(&path.with_file_name(file))?;
        tensors.extend(part);
        notes.extend(said);
    }
    if let Some((name, file)) = weight_map.iter().find(|(name, _)| !tensors.contains_key(*name)) {
        return Err(wrong(format!("{name} is not in {file}")));
    }
    Ok((tensors, notes))
}
