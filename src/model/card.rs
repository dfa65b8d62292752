//! The model card: identity, labels, preprocessing and calibration of a model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{BadCalibration, Calibration, Golden, Precision, Task, imagenet, labels};
use crate::model::{Preprocess, PreprocessError};

/// Everything about a model except its weights. Stored as `card.toml` next to the weights, and as metadata in
/// an ONNX file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// The model's name, such as `cifar10-resnet20`.
    pub name: String,
    /// The row of the architecture table, such as `resnet20`; `onnx` for a graph of another program.
    pub architecture: String,
    /// One sentence that describes the model.
    #[serde(default)]
    pub description: String,
    /// The licence of the weights.
    #[serde(default)]
    pub license: String,
    /// Arithmetic of the graph; weights in a folder are always `fp32`.
    #[serde(default)]
    pub precision: Precision,
    /// Single-label or multi-label.
    #[serde(default)]
    pub task: Task,
    /// Class names, in the order of the network's output; `"imagenet-1k"` stands for those of ImageNet-1k.
    #[serde(deserialize_with = "labels::read")]
    pub labels: Vec<String>,
    /// The classes' `WordNet` ids, in the same order, or none. Filled in if the labels are those of
    /// ImageNet-1k.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wordnet_ids: Vec<String>,
    /// How an image becomes the network's input.
    pub preprocess: Preprocess,
    /// Measured figures, such as accuracy.
    #[serde(default)]
    pub figures: Vec<Figure>,
    /// Calibration for each precision for which it was measured.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calibration: BTreeMap<Precision, Calibration>,
    /// Images with known logits; they are checked at every load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)] // never answered
    pub golden: Vec<Golden>,
}

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Name of the metric, such as `top-1`.
    pub metric: String,
    /// The measured value.
    pub value: f64,
    /// The data set.
    pub dataset: String,
    /// The command that reproduces the measurement.
    pub command: String,
}

/// An invalid card.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// Not TOML, or not a card's fields.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// Required fields are missing.
    #[error("it has no {}; docs/models.md shows a card with all required fields", .0.join(", "))]
    Missing(Vec<String>),
    /// A field in the ONNX metadata is missing or invalid.
    #[error(
        "the ONNX metadata contain no valid card: {0}; models written by resnetd export have one"
    )]
    Metadata(#[source] serde_json::Error),
    /// No labels.
    #[error("labels is empty; list every class")]
    NoLabels,
    /// `onnx.scale` is not a positive number.
    #[error("onnx.scale is {0}; it must be a positive number, such as 0.00392157 for 1/255")]
    Scale(f64),
    /// The card of an ONNX graph names an architecture.
    #[error("architecture is {0:?}; remove it from the card of an .onnx file")]
    NotForeign(String),
    /// The number of ids differs from the number of labels.
    #[error(
        "wordnet_ids has {ids} entries for {classes} labels; it must have one for each, or none"
    )]
    WordnetIds {
        /// Number of ids.
        ids: usize,
        /// Number of labels.
        classes: usize,
    },
    /// A golden photo that is not base64, or has the wrong number of logits.
    #[error(
        "golden photo {number} must be base64 and have one logit for each of the {classes} labels"
    )]
    Golden {
        /// Its number, from 1.
        number: usize,
        /// Number of labels.
        classes: usize,
    },
    /// An invalid calibration.
    #[error("calibration.{precision}: {source}")]
    Calibration {
        /// Precision of the calibration.
        precision: Precision,
        /// The invalid value.
        source: BadCalibration,
    },
    /// A multi-label network with a calibration.
    #[error(
        "task is \"multi-label\", but the card has calibration.{0}; temperature and prediction sets are for \
         single-label networks, so remove the calibration"
    )]
    CalibratedMultiLabel(Precision),
    /// Invalid preprocessing.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
}

/// Prefix of the metadata keys, to distinguish them from other tools' entries.
pub(super) const PREFIX: &str = "resnetd.";

/// Checks that `table` has the fields that every card has, and those in `more`. Cards of weights, for which `more` is not
/// empty, also need `preprocess.mean` and `preprocess.std`.
///
/// # Errors
///
/// [`CardError::Missing`] with all missing fields.
pub(super) fn complete(table: &toml::Table, more: &[&str]) -> Result<(), CardError> {
    let preprocess = table.get("preprocess").and_then(toml::Value::as_table);
    let own = more.iter().chain(&["labels"]).filter(|field| !table.contains_key(**field));
    let own = own.map(|field| (*field).to_owned());
    let normalization: &[&str] = if more.is_empty() { &[] } else { &["mean", "std"] };
    let of_preprocess = ["input", "resize", "interpolation"]
        .iter()
        .chain(normalization)
        .filter(|field| !preprocess.is_some_and(|it| it.contains_key(**field)))
        .map(|field| format!("preprocess.{field}"));
    let missing: Vec<_> = own.chain(of_preprocess).collect();
    if missing.is_empty() { Ok(()) } else { Err(CardError::Missing(missing)) }
}

impl ModelCard {
    /// Reads and checks a `card.toml`.
    ///
    /// # Errors
    ///
    /// [`CardError`] with the position in the file.
    pub fn from_toml(text: &str) -> Result<Self, CardError> {
        let table: toml::Table = toml::from_str(text)?;
        complete(&table, &["name", "architecture"])?;
        toml::from_str::<Self>(text)?.checked()
    }

    /// The card as ONNX metadata: one entry per field; text unchanged, other values as JSON.
    ///
    /// # Panics
    ///
    /// Never: every field of a card can be serialised.
    #[must_use]
    pub fn to_metadata(&self) -> Vec<(String, String)> {
        let serde_json::Value::Object(fields) =
            serde_json::to_value(self).expect("every field of a card can be serialised")
        else {
            unreachable!("a struct serialises to an object")
        };
        fields
            .into_iter()
            // The default is omitted, so that earlier versions can read the file.
            .filter(|(field, _)| field != "task" || self.task != Task::default())
            .map(|(field, value)| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                (format!("{PREFIX}{field}"), text)
            })
            .collect()
    }

    /// The calibration for the card's own precision.
    #[must_use]
    pub fn calibration_in_use(&self) -> Option<&Calibration> {
        self.calibration.get(&self.precision)
    }

    /// Whether the classes have names, rather than placeholders such as `class 0`.
    #[must_use]
    pub fn has_class_names(&self) -> bool {
        !labels::are_placeholders(&self.labels)
    }

    /// Whether the ONNX metadata contain a card.
    #[must_use]
    pub fn is_in<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
        entries.into_iter().any(|(key, _)| key.starts_with(PREFIX))
    }

    /// Reads the card from ONNX metadata; entries of other tools are ignored.
    ///
    /// # Errors
    ///
    /// [`CardError`] with the missing or invalid field.
    pub fn from_metadata<'a>(
        entries: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, CardError> {
        let fields = entries
            .into_iter()
            .filter_map(|(key, text)| Some((key.strip_prefix(PREFIX)?, text)))
            .map(|(field, text)| {
                let value = match field {
                    "labels" | "wordnet_ids" | "preprocess" | "figures" | "calibration"
                    | "golden" => serde_json::from_str(text)?,
                    _ => serde_json::Value::from(text),
                };
                Ok((field.to_owned(), value))
            })
            .collect::<Result<serde_json::Map<_, _>, _>>()
            .map_err(CardError::Metadata)?;
        serde_json::from_value::<Self>(fields.into()).map_err(CardError::Metadata)?.checked()
    }

    /// Adds to the card of a network with one class a second class, which means "not the first one".
    #[must_use]
    pub(super) fn with_absence(mut self) -> Self {
        let absence = self.labels.first().map(|label| format!("not {label}"));
        self.labels.extend(absence);
        self.wordnet_ids.clear();
        for golden in &mut self.golden {
            golden.logits.push(0.0);
        }
        self
    }

    /// Validates the card, and fills in names and ids of ImageNet's classes if the labels identify them.
    pub(super) fn checked(mut self) -> Result<Self, CardError> {
        let classes = self.labels.len();
        if classes == 0 {
            return Err(CardError::NoLabels);
        }
        if self.wordnet_ids.is_empty() && imagenet::are_named_by(&self.labels) {
            self.wordnet_ids = imagenet::ids();
            if self.labels == self.wordnet_ids {
                self.labels = imagenet::labels();
            }
        }
        let ids = self.wordnet_ids.len();
        if ids != 0 && ids != classes {
            return Err(CardError::WordnetIds { ids, classes });
        }
        let usable = |golden: &Golden| golden.logits.len() == classes && golden.bytes().is_some();
        if let Some(index) = self.golden.iter().position(|golden| !usable(golden)) {
            return Err(CardError::Golden { number: index + 1, classes });
        }
        if let (Task::MultiLabel, Some(&precision)) = (self.task, self.calibration.keys().next()) {
            return Err(CardError::CalibratedMultiLabel(precision));
        }
        for (&precision, calibration) in &self.calibration {
            calibration.check().map_err(|source| CardError::Calibration { precision, source })?;
        }
        self.preprocess.validate()?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = r#"
        name = "pets"
        architecture = "resnet18"
        labels = ["cat", "42", "dog, or \"hound\""]
        [preprocess]
        input = [224, 224]
        resize = "shorter-side"
        crop_ratio = 0.875
        interpolation = "bilinear"
        mean = [0.485, 0.456, 0.406]
        std = [0.229, 0.224, 0.225]
    "#;

    const CALIBRATED: &str = r#"
        [calibration.int8]
        temperature = 0
        dataset = "photos"
        temperature_images = 25
        threshold_images = 25
        measured_images = 50
        ece_before = 0.1
        ece_after = 0.05
        command = "resnetd eval --calibrate"
        sets = [{ coverage = 0.9, threshold = 0.12345678, found = 0.92, mean_size = 1.5 }]
        [preprocess]
    "#;

    #[test]
    fn a_card_is_unchanged_after_a_round_trip_through_onnx_metadata() {
        let calibrated = CALIBRATED.replace("temperature = 0\n", "temperature = 1.25\n");
        let card = ModelCard::from_toml(&CARD.replace("[preprocess]", &calibrated)).unwrap();
        let [fp32, int8] = [Precision::Fp32, Precision::Int8]
            .map(|precision| ModelCard { precision, ..card.clone() });
        assert_eq!(fp32.calibration_in_use(), None);
        assert_eq!(int8.calibration_in_use().map(|found| found.temperature), Some(1.25));
        let metadata = card.to_metadata();
        let strange = [("other.tool", "1")];
        let entries = metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        assert_eq!(ModelCard::from_metadata(entries.chain(strange)).unwrap(), card);
    }

    #[test]
    fn the_documentation_has_every_field_of_a_card() {
        let page = include_str!("../../docs/models.md");
        let section =
            page.split("\n## ").find(|section| section.starts_with("Model cards")).unwrap();
        let wrong = CARD.replace("name =", "other = 1\n        name =");
        let error = ModelCard::from_toml(&wrong).unwrap_err().to_string();
        let fields = error.split("expected one of ").nth(1).unwrap().split('`').skip(1).step_by(2);
        let mut checked = 0;
        for field in fields {
            let places = [format!("`{field}`"), format!("[{field}"), format!("\n{field} =")];
            assert!(
                places.iter().any(|place| section.contains(place)),
                "docs/models.md lacks {field}"
            );
            checked += 1;
        }
        assert!(checked > 8, "{error}");
    }

    #[test]
    fn missing_fields_of_a_card_are_reported() {
        for (change, expected) in [
            ((r#"architecture = "resnet18""#, ""), "it has no architecture;"),
            (("[preprocess]", "[other]"), "it has no preprocess.input, preprocess.resize, "),
            (("crop_ratio", "crop_ration"), "unknown field `crop_ration`"),
            ((r#"["cat", "42", "dog, or \"hound\""]"#, "[]"), "labels is empty"),
            (("[preprocess]", CALIBRATED), "calibration.int8: temperature is 0; it must be"),
            (
                ("[preprocess]", "golden = [{ photo = \"AAAA\", logits = [1.0] }]\n[preprocess]"),
                "golden photo 1 must be base64 and have one logit for each of the 3 labels",
            ),
        ] {
            let text = CARD.replace(change.0, change.1);
            let error = ModelCard::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let error = ModelCard::from_metadata([("resnetd.name", "pets")]).unwrap_err().to_string();
        assert!(error.contains("missing field `architecture`"), "{error}");
    }
}
