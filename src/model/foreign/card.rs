//! The card of a foreign ONNX file: a model card with hints about the graph.

use std::fmt;

use serde::Deserialize;
use toml::{Table, Value};

use super::ARCHITECTURE;
use crate::model::card::complete;
use crate::model::{CardError, ModelCard, Task};

/// Facts about a graph that the file itself does not contain. The table `[onnx]` of a card.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Hints {
    /// Layout of the input; by default determined by the position of the 3 in its shape.
    pub(super) layout: Option<AxisOrder>,
    /// Order of the channels.
    pub(super) channels: Channels,
    /// Pixels are multiplied by this before the mean is subtracted; `None` is 1/255.
    pub(super) scale: Option<f64>,
    /// Kind of the scores; by default determined by the last nodes.
    pub(super) scores: Option<ScoreMeaning>,
    /// Name of the output with the scores; required if there are several outputs.
    pub(super) output: Option<String>,
    /// The task, if the card has one.
    #[serde(skip)]
    pub(super) task: Option<Task>,
    /// Whether the card has a scale, mean or standard deviation.
    #[serde(skip)]
    pub(super) normalized: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AxisOrder {
    Nchw,
    Nhwc,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Channels {
    #[default]
    Rgb,
    Bgr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ScoreMeaning {
    /// Before the softmax; with one class, before the sigmoid.
    Logits,
    /// After the softmax.
    Probabilities,
    /// After a sigmoid for each class.
    Sigmoid,
}

impl fmt::Display for ScoreMeaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Sigmoid => "sigmoid",
        })
    }
}

/// A card and the hints of its table `[onnx]`.
pub(super) struct ForeignCard {
    pub(super) card: ModelCard,
    pub(super) hints: Hints,
}

/// Reads such a card. Name and architecture are optional. Mean and standard deviation apply to pixels times
/// `scale`; without them the network takes those values unchanged.
pub(super) fn read(name: &str, text: &str) -> Result<ForeignCard, CardError> {
    let mut table: Table = toml::from_str(text)?;
    let mut hints: Hints = match table.remove("onnx") {
        Some(hints) => hints.try_into()?,
        None => Hints::default(),
    };
    complete(&table, &[])?;
    table.entry("name").or_insert_with(|| name.into());
    table.entry("architecture").or_insert_with(|| ARCHITECTURE.into());
    if let Some(Value::Table(preprocess)) = table.get_mut("preprocess") {
        let given = |field| preprocess.contains_key(field);
        hints.normalized = hints.scale.is_some() || given("mean") || given("std");
        let scale = hints.scale.unwrap_or(1.0 / 255.0);
        if !(scale.is_finite() && scale > 0.0) {
            return Err(CardError::Scale(scale));
        }
        for (field, nothing) in [("mean", 0.0), ("std", 1.0)] {
            let values = preprocess.entry(field).or_insert_with(|| vec![nothing; 3].into());
            if hints.scale.is_some() {
                multiply(values, 1.0 / (255.0 * scale)); // [`Preprocess`] has them for pixels from 0 to 1
            }
        }
    }
    let has_task = table.contains_key("task");
    let card: ModelCard = Value::Table(table).try_into()?;
    hints.task = has_task.then_some(card.task);
    if card.architecture != ARCHITECTURE {
        return Err(CardError::NotForeign(card.architecture));
    }
    Ok(ForeignCard { card: card.checked()?, hints })
}

/// Multiplies the numbers of a list. Other values are unchanged; the card's deserialiser rejects them.
fn multiply(field: &mut Value, factor: f64) {
    let Value::Array(values) = field else { return };
    for value in values {
        #[expect(clippy::cast_precision_loss, reason = "a mean is no large number")]
        let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
        if let Some(number) = number {
            *value = (number * factor).into();
        }
    }
}
