//! Opens a model in the precision that the option, the model's files and the processor determine.

use std::path::Path;

use bytes::Bytes;

use super::card::PREFIX;
use super::open::{check_arch, read_card, read_error};
use super::{
    CARD, EMBEDDED, Model, ModelCard, ModelError, Precision, PrecisionChoice, Task, checksums,
    foreign, int8,
};
use crate::device::Device;
use crate::graph::half;
use crate::onnx;

/// Name of the int8 graph next to a folder's weights, written by `resnetd quantize`.
pub(crate) const INT8_FILE: &str = "model-int8.onnx";

/// A model in the chosen precision.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The model; its card has the precision.
    pub model: Model,
    /// The reason for the choice, for log and API.
    pub why: &'static str,
}

impl Model {
    /// Opens a model as [`Model::open`] does, in the precision that `choice` selects for `device`. The files
    /// of a folder with `SHA256SUMS` must have the digests that are listed there.
    ///
    /// # Errors
    ///
    /// [`ModelError`]; [`ModelError::Precision`] if the model is not available in this precision.
    pub fn open_as(
        name: &str,
        arch: Option<&str>,
        choice: PrecisionChoice,
        device: Device,
    ) -> Result<Chosen, ModelError> {
        checksums::check(Path::new(name))?;
        let chosen = |model, why| Ok(Chosen { model, why });
        match choice {
            PrecisionChoice::Auto => {
                match (auto(device, int8::why_not()), int8_form(name, arch)?) {
                    (Auto::Int8, Some(model)) => {
                        chosen(model, "the model's int8 variant, the fastest on a CPU")
                    }
                    (Auto::NotInt8(why), Some(_)) => chosen(Self::open(name, arch)?, why),
                    (_, None) => chosen(Self::open(name, arch)?, "the model's own precision"),
                }
            }
            PrecisionChoice::Only(Precision::Int8) => match int8_form(name, arch)? {
                Some(model) => chosen(model, "as requested"),
                None => chosen(
                    require_precision(name, Self::open(name, arch)?, Precision::Int8)?,
                    "as requested",
                ),
            },
            PrecisionChoice::Only(Precision::Fp32) => chosen(
                require_precision(name, Self::open(name, arch)?, Precision::Fp32)?,
                "as requested",
            ),
            PrecisionChoice::Only(Precision::Fp16) => {
                let model = Self::open(name, arch)?;
                let model = match model.card.precision {
                    Precision::Fp32 => model.to_half()?,
                    Precision::Fp16 | Precision::Int8 => {
                        require_precision(name, model, Precision::Fp16)?
                    }
                };
                chosen(model, "as requested")
            }
        }
    }

    /// Converts the model to float16.
    ///
    /// # Errors
    ///
    /// [`ModelError::TooLarge`] if a weight exceeds the range of float16, [`ModelError::Foreign`] for a
    /// foreign graph.
    ///
    /// # Panics
    ///
    /// If the model was not read or built by this module.
    pub fn to_half(&self) -> Result<Self, ModelError> {
        if self.card.architecture == foreign::ARCHITECTURE {
            let (name, wanted) = (self.card.name.clone(), Precision::Fp16);
            return Err(ModelError::Foreign { name, wanted });
        }
        let graph = self.graph();
        let graph = half::to_half(&graph)
            .map_err(|source| ModelError::TooLarge { of: self.card.name.clone(), source })?;
        // The figures were measured in float32.
        let card = ModelCard {
            precision: Precision::Fp16,
            figures: Vec::new(),
            ..self.card.as_ref().clone()
        };
        Ok(Self::of(card, graph))
    }

    /// Parses the graph.
    ///
    /// # Panics
    ///
    /// If the bytes are not an ONNX model, which this module prevents.
    #[must_use]
    pub fn graph(&self) -> onnx::OnnxModel {
        onnx::OnnxModel::from_bytes(self.onnx.clone()).expect("a model's bytes are ONNX")
    }

    /// Takes labels and calibrations of the card next to the weights, which has the calibrations of every precision. The
    /// preprocessing is part of the int8 graph, so it stays.
    fn described_by(self, weights: ModelCard) -> Result<Self, ModelError> {
        let weights = match (weights.task, weights.labels.len()) {
            (Task::SingleLabel, 1) => weights.with_absence(),
            _ => weights,
        };
        let mut card = self.card.as_ref().clone();
        let (labels, classes) = (weights.labels.len(), card.labels.len());
        if labels != classes {
            return Err(ModelError::OtherClasses { of: weights.name, labels, classes });
        }
        if weights.preprocess != card.preprocess {
            tracing::warn!(
                model = card.name,
                "{INT8_FILE} has another preprocessing than {CARD}, and is served with its own: quantize the model \
                 again, or use --precision fp32"
            );
        }
        card.labels = weights.labels;
        card.wordnet_ids = weights.wordnet_ids;
        card.calibration.extend(weights.calibration);
        Ok(Self { card: card.into(), onnx: self.onnx })
    }

    /// Creates a model from a graph, and stores the card in its metadata instead of the card that is there.
    #[must_use]
    pub fn of(card: ModelCard, mut graph: onnx::OnnxModel) -> Self {
        graph.remove_metadata(PREFIX);
        for (key, value) in card.to_metadata() {
            graph.set_metadata(&key, &value);
        }
        Self { card: card.into(), onnx: graph.to_bytes().into() }
    }
}

/// The default precision of a model that has an int8 variant.
#[derive(Debug, PartialEq, Eq)]
enum Auto {
    Int8,
    /// With the reason.
    NotInt8(&'static str),
}

fn auto(device: Device, inexact: Option<&'static str>) -> Auto {
    match (device, inexact) {
        (Device::Cpu, None) => Auto::Int8,
        (Device::Cpu, Some(why)) => Auto::NotInt8(why),
        (Device::Cuda(_), _) => {
            Auto::NotInt8("the model's own precision; its int8 variant is for CPUs")
        }
    }
}

/// The int8 variant that the model's files provide, if any.
fn int8_form(name: &str, arch: Option<&str>) -> Result<Option<Model>, ModelError> {
    let path = Path::new(name).join(INT8_FILE);
    let (model, card) = if let Some(embedded) = EMBEDDED.iter().find(|it| it.name == name) {
        let Some(bytes) = embedded.int8 else { return Ok(None) };
        let model = Model::from_onnx(name, Bytes::from_static(bytes))?;
        (model, Some(read_card(name, embedded.card)?))
    } else if path.is_file() {
        let bytes = std::fs::read(&path).map_err(read_error(&path))?;
        let model = Model::from_onnx(&path.display().to_string(), bytes.into())?;
        let card = Path::new(name).join(CARD);
        let read = || {
            let text = std::fs::read_to_string(&card).map_err(read_error(&card))?;
            read_card(name, &text)
        };
        (model, card.is_file().then(read).transpose()?)
    } else {
        return Ok(None);
    };
    check_arch(&model.card, arch)?;
    Ok(Some(match card {
        Some(card) => model.described_by(card)?,
        None => model,
    }))
}

fn require_precision(name: &str, model: Model, wanted: Precision) -> Result<Model, ModelError> {
    let found = model.card.precision;
    if found == wanted {
        Ok(model)
    } else if model.card.architecture == foreign::ARCHITECTURE {
        Err(ModelError::Foreign { name: name.to_owned(), wanted })
    } else {
        Err(ModelError::Precision { name: name.to_owned(), found, wanted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn int8_is_chosen_only_where_it_is_fast_and_exact() {
        assert_eq!(auto(Device::Cpu, None), Auto::Int8);
        assert_eq!(auto(Device::Cpu, Some("no VNNI")), Auto::NotInt8("no VNNI"));
        assert!(matches!(auto(Device::Cuda(0), None), Auto::NotInt8(_)));
    }
}
