//! Selects the files of a repository that a model needs.

use super::{HubError, HubId};
use crate::model::{GRAPHS, INT8_FILE, WEIGHTS};

/// Files with labels and preprocessing; those that exist are downloaded.
const DESCRIPTIONS: [&str; 3] = ["card.toml", "config.json", "preprocessor_config.json"];

/// Possible names of a model's weights; the first one that exists is used.
pub(super) fn weights() -> impl Iterator<Item = &'static str> {
    WEIGHTS.into_iter().chain(GRAPHS)
}

/// Files to download.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilesToDownload {
    pub(super) first: Vec<String>,
    /// Weights, which are downloaded last, so that a snapshot with weights is complete unless another program has
    /// downloaded them.
    pub(super) weights: Vec<String>,
}

/// Selects from the `files` of a repository.
pub(super) fn choose(id: &HubId, files: &[String]) -> Result<FilesToDownload, HubError> {
    let has = |name: &str| files.iter().any(|file| file == name);
    let Some(weights) = weights().find(|name| has(name)) else {
        let looked_for = weights().map(str::to_owned).collect();
        return Err(HubError::NoModel { id: id.clone(), looked_for });
    };
    let mut first: Vec<String> =
        DESCRIPTIONS.into_iter().filter(|name| has(name)).map(str::to_owned).collect();
    if has("card.toml") && has(INT8_FILE) {
        first.push(INT8_FILE.to_owned());
    }
    let mut last = vec![weights.to_owned()];
    if GRAPHS.contains(&weights) {
        // `model.onnx.data` and `model.onnx_data` hold the weights of a graph.
        let is_data = |file: &&String| {
            let rest = file.strip_prefix(weights).unwrap_or_default();
            !rest.is_empty() && !rest.contains('/')
        };
        last.splice(0..0, files.iter().filter(is_data).cloned());
    }
    if let Some(stem) = weights.strip_suffix(".index.json") {
        // The parts of `model.safetensors` are `model-00001-of-00002.safetensors` and so on.
        let (name, kind) = stem.split_once('.').unwrap_or((stem, ""));
        let is_part = |file: &&String| {
            !file.contains('/') && file.starts_with(&format!("{name}-0")) && file.ends_with(kind)
        };
        last.splice(0..0, files.iter().filter(is_part).cloned());
    }
    Ok(FilesToDownload { first, weights: last })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(files: &[&str]) -> Result<Vec<String>, HubError> {
        let files: Vec<_> = files.iter().map(|&file| file.to_owned()).collect();
        choose(&HubId::parse("a/b").unwrap(), &files)
            .map(|choice| [choice.first, choice.weights].concat())
    }

    #[test]
    fn only_needed_files_are_downloaded_and_weights_last() {
        let timm = ["README.md", "config.json", "pytorch_model.bin", "model.safetensors"];
        assert_eq!(chosen(&timm).unwrap(), ["config.json", "model.safetensors"]);
        let parts = [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "onnx/model-00001-of-00002.safetensors",
        ];
        assert_eq!(chosen(&parts).unwrap(), [parts[0], parts[1], parts[2], parts[3]]);
        let ours = ["card.toml", "model.safetensors", "model-int8.onnx"];
        assert_eq!(chosen(&ours).unwrap(), ["card.toml", "model-int8.onnx", "model.safetensors"]);
        let onnx = ["card.toml", "model.onnx", "model.onnx.data", "onnx/model.onnx.data"];
        assert_eq!(chosen(&onnx).unwrap(), [onnx[0], onnx[2], onnx[1]]);
        let nested = [
            "config.json",
            "onnx/model.onnx",
            "onnx/model.onnx_data",
            "onnx/model_fp16.onnx",
            "onnx/model_fp16.onnx_data",
            "onnx/model.onnx/../../../escape",
            "preprocessor_config.json",
        ];
        assert_eq!(chosen(&nested).unwrap(), [nested[0], nested[6], nested[2], nested[1]]);
        let error = chosen(&["tf_model.h5"]).unwrap_err().to_string();
        assert!(error.contains("looked for model.safetensors, "), "{error}");
    }
}
