//! The card of a foreign ONNX file: a model card with hints about the graph.

use std::fmt;

use serde::Deserialize;
use toml::{Table, Value};

use super::ARCHITECTURE;
use crate::model::card::complete;
use crate::model::{CardError, ModelCard, Task};

/// What a graph does not say itself. The table `[onnx]` of a card.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Hints {
    /// The layout of the input; by default from the position of the 3 in its shape.
    pub(super) layout: Option<AxisOrder>,
    /// In which order the network takes the channels.
    pub(super) channels: Channels,
    /// What pixels are multiplied by before the mean is subtracted, where it is not 1/255.
    pub(super) scale: Option<f64>,
    /// The kind of its scores; by default from the last nodes.
    pub(super) scores: Option<DeclaredScores>,
    /// The output with the scores, where there are several.
    pub(super) output: Option<String>,
    /// Whether one class is right or several can be, where the card says it.
    #[serde(skip)]
    pub(super) task: Option<Task>,
    /// Whether the card says anything of scale, mean or standard deviation.
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
pub(super) enum DeclaredScores {
    /// Before the softmax; before the sigmoid where there is one class.
    Logits,
    /// After the softmax.
    Probabilities,
    /// After the sigmoid of each.
    Sigmoid,
}

impl fmt::Display for DeclaredScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Sigmoid => "sigmoid",
        })
    }
}

/// A card with the hints of its table `[onnx]`.
pub(super) struct ForeignCard {
    pub(super) card: ModelCard,
    pub(super) hints: Hints,
}

/// Reads such a card. A name or architecture need not be there; mean and standard deviation are of
/// pixels times `scale`, and none means that the network takes those as they are.
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
                multiply(values, 1.0 / (255.0 * scale)); // a card's own are of pixels from 0 to 1
            }
        }
    }
    let says_task = table.contains_key("task");
    let card: ModelCard = Value::Table(table).try_into()?;
    hints.task = says_task.then_some(card.task);
    if card.architecture != ARCHITECTURE {
        return Err(CardError::NotForeign(card.architecture));
    }
    Ok(ForeignCard { card: card.checked()?, hints })
}

/// Multiplies the numbers of a list; anything else stays, for the card's reader to refuse.
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
