//! In which arithmetic a model runs: what was asked for, what there is, what was taken and why.

use std::cmp::Ordering;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::open::{read_card, reading};
use super::{CARD, EMBEDDED, Model, ModelCard, ModelError, checksums, foreign, int8};
use crate::device::Device;
use crate::graph::half;
use crate::onnx;

/// The file beside a folder's weights that `resnetd quantize` writes.
pub(crate) const INT8_FILE: &str = "model-int8.onnx";

/// The arithmetic of a graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// float32, as most networks are trained.
    #[default]
    Fp32,
    /// float16 between pixels and scores.
    Fp16,
    /// int8 weights and uint8 activations.
    Int8,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrecisionChoice {
    /// The fastest that the model's maker has provided for the device.
    Auto,
    /// This one or an error.
    Only(Precision),
}

/// A word that names no precision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a precision; use auto, fp32, int8 or fp16")]
pub struct BadPrecision(String);

/// A model in the precision that was taken.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The model; its card says the precision.
    pub model: Model,
    /// Why this one, for people.
    pub why: &'static str,
}

impl Model {
    /// Opens a model as [`Model::open`] does, in the precision that `choice` means on `device`. The files of a
    /// folder with `SHA256SUMS` must have the digests that are listed there.
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
            PrecisionChoice::Auto => match (auto(device, int8::why_not()), int8_form(name)?) {
                (Auto::Int8, Some(model)) => {
                    chosen(model, "the model's int8 form, the fastest on a CPU")
                }
                (Auto::NotInt8(why), Some(_)) => chosen(Self::open(name, arch)?, why),
                (_, None) => chosen(Self::open(name, arch)?, "as the model comes"),
            },
            PrecisionChoice::Only(Precision::Int8) => match int8_form(name)? {
                Some(model) => chosen(model, "as asked"),
                None => chosen(only(name, Self::open(name, arch)?, Precision::Int8)?, "as asked"),
            },
            PrecisionChoice::Only(Precision::Fp32) => {
                chosen(only(name, Self::open(name, arch)?, Precision::Fp32)?, "as asked")
            }
            PrecisionChoice::Only(Precision::Fp16) => {
                let model = Self::open(name, arch)?;
                let model = match model.card.precision {
                    Precision::Fp32 => model.to_half()?,
                    Precision::Fp16 | Precision::Int8 => only(name, model, Precision::Fp16)?,
                };
                chosen(model, "as asked")
            }
        }
    }

    /// The same model in float16.
    ///
    /// # Errors
    ///
    /// [`ModelError::TooLarge`] where a weight has no place in float16, [`ModelError::Foreign`] where
    /// the graph is not ours.
    ///
    /// # Panics
    ///
    /// Where the model was not read or built by this module.
    pub fn to_half(&self) -> Result<Self, ModelError> {
        if self.card.architecture == foreign::ARCHITECTURE {
            let (name, wanted) = (self.card.name.clone(), Precision::Fp16);
            return Err(ModelError::Foreign { name, wanted });
        }
        let graph = self.graph();
        let graph = half::to_half(&graph)
            .map_err(|source| ModelError::TooLarge { of: self.card.name.clone(), source })?;
        // Every figure was measured in float32.
        let card = ModelCard {
            precision: Precision::Fp16,
            figures: Vec::new(),
            ..self.card.as_ref().clone()
        };
        Ok(Self::of(card, graph))
    }

    /// Its graph.
    ///
    /// # Panics
    ///
    /// Where the bytes are not an ONNX model, which no model of this module has.
    #[must_use]
    pub fn graph(&self) -> onnx::Model {
        onnx::Model::from_bytes(self.onnx.clone()).expect("a model's bytes are ONNX")
    }

    /// The same model with the calibrations of the card beside its weights, which are of every
    /// precision; what the graph itself carries is kept where that card has none.
    fn calibrated_by(self, beside: &ModelCard) -> Self {
        let mut card = self.card.as_ref().clone();
        card.calibration.extend(beside.calibration.clone());
        Self { card: card.into(), onnx: self.onnx }
    }

    /// A model of this graph, which carries the card.
    #[must_use]
    pub fn of(card: ModelCard, mut graph: onnx::Model) -> Self {
        for (key, value) in card.to_metadata() {
            graph.set_metadata(&key, &value);
        }
        Self { card: card.into(), onnx: graph.to_bytes().into() }
    }
}

/// The default precision of a model that has an int8 form.
#[derive(Debug, PartialEq, Eq)]
enum Auto {
    Int8,
    /// And why not.
    NotInt8(&'static str),
}

fn auto(device: Device, inexact: Option<&'static str>) -> Auto {
    match (device, inexact) {
        (Device::Cpu, None) => Auto::Int8,
        (Device::Cpu, Some(why)) => Auto::NotInt8(why),
        (Device::Cuda(_), _) => Auto::NotInt8("as the model comes; its int8 form is for CPUs"),
    }
}

/// The int8 form that comes with a model, if one does.
fn int8_form(name: &str) -> Result<Option<Model>, ModelError> {
    let path = Path::new(name).join(INT8_FILE);
    if let Some(embedded) = EMBEDDED.iter().find(|embedded| embedded.name == name) {
        let Some(bytes) = embedded.int8 else { return Ok(None) };
        let model = Model::from_onnx(name, Bytes::from_static(bytes))?;
        Ok(Some(model.calibrated_by(&read_card(name, embedded.card)?)))
    } else if path.is_file() {
        let bytes = std::fs::read(&path).map_err(reading(&path))?;
        let model = Model::from_onnx(&path.display().to_string(), bytes.into())?;
        let card = Path::new(name).join(CARD);
        if !card.is_file() {
            return Ok(Some(model));
        }
        let text = std::fs::read_to_string(&card).map_err(reading(&card))?;
        Ok(Some(model.calibrated_by(&read_card(name, &text)?)))
    } else {
        Ok(None)
    }
}

fn only(name: &str, model: Model, wanted: Precision) -> Result<Model, ModelError> {
    let found = model.card.precision;
    if found == wanted {
        Ok(model)
    } else {
        Err(ModelError::Precision { name: name.to_owned(), found, wanted })
    }
}

/// In the order of their names here, so that what a card has for several is written in one order.
impl Ord for Precision {
    fn cmp(&self, other: &Self) -> Ordering {
        (*self as u8).cmp(&(*other as u8))
    }
}

impl PartialOrd for Precision {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for PrecisionChoice {
    type Err = BadPrecision;

    fn from_str(word: &str) -> Result<Self, BadPrecision> {
        match word {
            "auto" => Ok(Self::Auto),
            "fp32" => Ok(Self::Only(Precision::Fp32)),
            "fp16" => Ok(Self::Only(Precision::Fp16)),
            "int8" => Ok(Self::Only(Precision::Int8)),
            _ => Err(BadPrecision(word.to_owned())),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        })
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
