//! Creates a card from the configuration files of other libraries.

mod preprocessor; // preprocessor_config.json of transformers
mod timm; // config.json of timm
mod transformers; // config.json of transformers

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::foreign::DescribedCard;
use super::{ModelCard, ModelError, Precision, Task, foreign, labels};
use crate::graph::choices::Family;
use crate::graph::{Architecture, DetectedArchitecture, infer};
use crate::model::{Interpolation, Preprocess};
use crate::weights::{Framework, Weights};

/// The model that a `config.json` describes.
struct ConfiguredModel {
    /// Row of the architecture table.
    architecture: &'static Architecture,
    labels: Option<Vec<String>>,
    preprocess: Preprocess,
    license: String,
}

/// A `config.json` or `preprocessor_config.json` with an unsupported setting.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct ConfigJsonError {
    /// The file.
    pub path: PathBuf,
    /// The unsupported setting, and the supported ones.
    pub why: String,
}

/// Why a setting is rejected, without the name of the file.
type Refusal = String;

/// The card of a folder with a `config.json`, for a model with this name and these weights.
///
/// # Errors
///
/// [`ModelError::Read`] for a missing file, [`ModelError::Config`] for an unsupported setting.
pub(super) fn card(folder: &Path, name: &str, weights: &Weights) -> Result<ModelCard, ModelError> {
    let path = folder.join("config.json");
    let config: Value = read(&path)?;
    let is_wrapped = config["model_type"] == "timm_wrapper"; // a network of timm inside transformers
    let described = if config["model_type"].is_string() && !is_wrapped {
        let preprocessor = folder.join("preprocessor_config.json");
        let preprocess = if preprocessor.is_file() {
            let preprocess = preprocessor::preprocess(&read(&preprocessor)?);
            Some(preprocess.map_err(|why| ConfigJsonError { path: preprocessor, why })?)
        } else {
            None
        };
        transformers::describe(&config, preprocess, weights)
    } else {
        timm::describe(&config)
    };
    let described = described.map_err(|why| ConfigJsonError { path, why })?;
    let task =
        task(&config).map_err(|why| ConfigJsonError { path: folder.join("config.json"), why })?;
    let ConfiguredModel { architecture, labels, preprocess, license } = described;
    let classes = infer::classes(architecture, weights).unwrap_or(architecture.classes);
    let labels = labels.unwrap_or_else(|| labels::default_names(classes));
    Ok(ModelCard { license, task, ..bare(name, architecture.name, preprocess, labels) })
}

/// The task that transformers' `problem_type` names; single-label if it is absent, as in most files.
fn task(config: &Value) -> Result<Task, Refusal> {
    let problem_type = &config["problem_type"];
    match problem_type.as_str() {
        Some("single_label_classification") => Ok(Task::SingleLabel),
        Some("multi_label_classification") => Ok(Task::MultiLabel),
        None if problem_type.is_null() => Ok(Task::SingleLabel),
        Some(_) | None => Err(format!(
            "problem_type is {problem_type}; it must be \"single_label_classification\" or \
             \"multi_label_classification\""
        )),
    }
}

/// The card of a folder with a `config.json` and a foreign graph, for a model with this name.
///
/// # Errors
///
/// [`ModelError::Read`] for a missing file, [`ModelError::Config`] if it lacks labels or preprocessing, or for an unsupported
/// setting.
pub(super) fn card_of_graph(folder: &Path, name: &str) -> Result<DescribedCard, ModelError> {
    let path = folder.join("config.json");
    let config: Value = read(&path)?;
    let refused = |why| ConfigJsonError { path: path.clone(), why };
    let described = if config["pretrained_cfg"].is_object() {
        timm::describe_graph(&config).map_err(refused)?
    } else {
        let path = folder.join("preprocessor_config.json");
        let preprocess = preprocessor::preprocess(&read(&path)?);
        (
            transformers::labels_of(&config).map_err(refused)?,
            preprocess.map_err(|why| ConfigJsonError { path, why })?,
        )
    };
    let (labels, preprocess) = described;
    let labels = labels.ok_or_else(|| {
        refused("it has no id2label with the class names; write a card.toml".to_owned())
    })?;
    let task = task(&config).map_err(refused)?;
    let card = ModelCard { task, ..bare(name, foreign::ARCHITECTURE, preprocess, labels) };
    let names_task = !config["problem_type"].is_null();
    Ok(DescribedCard { card, task: names_task.then_some(task) })
}

/// The card of weights without any description: default preprocessing and class names of the architecture.
pub(super) fn default_card(name: &str, inferred: DetectedArchitecture) -> ModelCard {
    let DetectedArchitecture { architecture, classes } = inferred;
    bare(name, architecture.name, default_preprocess(architecture), labels::default_names(classes))
}

/// The preprocessing with which weights of this architecture are usually trained.
fn default_preprocess(architecture: &Architecture) -> Preprocess {
    let usual = Preprocess::default_for(architecture.input);
    match architecture.family {
        Family::Inverted(choices) if choices.framework == Framework::TensorFlow => {
            // EfficientNet's input pipeline: a margin of 16 pixels on each side, and values from -127/128 to 1.
            let side = f64::from(architecture.input[0]);
            let (mean, std) = ([127.0 / 255.0; 3], [128.0 / 255.0; 3]);
            let (crop_ratio, interpolation) = (side / (side + 32.0), Interpolation::Bicubic);
            Preprocess { crop_ratio, interpolation, mean, std, ..usual }
        }
        Family::Residual(_) | Family::Vgg(_) | Family::Inverted(_) => usual,
    }
}

fn bare(name: &str, architecture: &str, preprocess: Preprocess, labels: Vec<String>) -> ModelCard {
    ModelCard {
        name: name.to_owned(),
        architecture: architecture.to_owned(),
        description: String::new(),
        license: String::new(),
        precision: Precision::Fp32,
        task: Task::SingleLabel,
        labels,
        wordnet_ids: Vec::new(),
        preprocess,
        figures: Vec::new(),
        calibration: BTreeMap::new(),
        golden: Vec::new(),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let text =
        fs::read(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
    let wrong = |error: serde_json::Error| ConfigJsonError {
        path: path.to_owned(),
        why: error.to_string(),
    };
    Ok(serde_json::from_slice(&text).map_err(wrong)?)
}

#[cfg(test)]
mod tests;
