//! Writes a calibration into the file with a model's card, and leaves everything else unchanged.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value, value};

use super::files;
use crate::model::{Calibration, CoverageThreshold, Model, ModelCard, Precision, foreign};
use crate::onnx;

/// The file of a card, parsed for editing.
pub(super) struct CardFile {
    path: PathBuf,
    content: CardContent,
}

enum CardContent {
    /// TOML next to weights or a graph; comments and order are preserved.
    Toml(Box<DocumentMut>),
    /// A graph of resnetd with an embedded card.
    Onnx(Box<(ModelCard, onnx::OnnxModel)>),
}

impl CardFile {
    /// Reads the file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let cannot_read = || format!("cannot read the card {}", path.display());
        let bytes = fs::read(path).with_context(cannot_read)?;
        let content = if path.extension().is_some_and(|extension| extension == "onnx") {
            let graph =
                onnx::OnnxModel::from_bytes(bytes::Bytes::from(bytes)).with_context(cannot_read)?;
            ensure!(
                ModelCard::is_in(graph.all_metadata()),
                "{} has no embedded card; use the .toml next to it",
                path.display()
            );
            let card = ModelCard::from_metadata(graph.all_metadata()).with_context(cannot_read)?;
            ensure!(
                card.architecture != foreign::ARCHITECTURE,
                "{} has a graph that resnetd did not build and does not rewrite; calibrate the file that it was \
                 exported from, which has its card next to it, and export that again",
                path.display()
            );
            CardContent::Onnx(Box::new((card, graph)))
        } else {
            let text = String::from_utf8(bytes).with_context(cannot_read)?;
            CardContent::Toml(Box::new(text.parse().with_context(cannot_read)?))
        };
        Ok(Self { path: path.to_owned(), content })
    }

    /// Checks that it is the card of the model with this `card`, and that a calibration for the precision may
    /// be added or replaced.
    pub(super) fn check(&self, card: &ModelCard, existing: Existing) -> Result<()> {
        let path = self.path.display();
        let precision = card.precision;
        let (name, is_calibrated) = match &self.content {
            CardContent::Toml(document) => {
                let name = document.get("name").and_then(Item::as_str);
                let calibration = document.get("calibration");
                ensure!(
                    calibration.is_none_or(Item::is_table),
                    "calibration is not a table in this card; write it as [calibration.{precision}]"
                );
                let is_calibrated = calibration.and_then(|all| all.get(precision.to_string()));
                (name, is_calibrated.is_some())
            }
            CardContent::Onnx(inside) => {
                let card = &inside.0;
                (Some(card.name.as_str()), card.calibration.contains_key(&precision))
            }
        };
        if let Some(name) = name {
            ensure!(
                name == card.name,
                "{path} is the card of {name}, but the model is {}",
                card.name
            );
        }
        if is_calibrated && existing == Existing::Keep {
            bail!(
                "{path} already has a calibration for {precision}\n\
             hint: --replace replaces it"
            );
        }
        Ok(())
    }

    /// Inserts `calibration` and writes the file atomically.
    pub(super) fn write(self, precision: Precision, calibration: &Calibration) -> Result<()> {
        let bytes = match self.content {
            CardContent::Toml(mut document) => {
                put(&mut document, precision, calibration)?;
                let text = document.to_string();
                // Read the card back before writing, because an invalid one would make the model unusable.
                let again: toml::Table = toml::from_str(&text)?;
                let again = again["calibration"][&precision.to_string()].clone();
                ensure!(
                    again.try_into::<Calibration>()? == *calibration,
                    "the card was not written: the calibration cannot be read back unchanged"
                );
                text.into_bytes()
            }
            CardContent::Onnx(inside) => {
                let (mut card, graph) = *inside;
                card.calibration.insert(precision, calibration.clone());
                Model::of(card, graph).onnx.into()
            }
        };
        files::write_atomically(&self.path, &bytes)
    }
}

/// What to do with an existing calibration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Keep,
    Replace,
}

fn put(document: &mut DocumentMut, precision: Precision, calibration: &Calibration) -> Result<()> {
    let mut implicit = Table::new();
    implicit.set_implicit(true);
    let is_no_table = || {
        format!("calibration is not a table in this card; write it as [calibration.{precision}]")
    };
    let all = document
        .entry("calibration")
        .or_insert(Item::Table(implicit))
        .as_table_mut()
        .with_context(is_no_table)?;
    let count = |images: usize| value(i64::try_from(images).unwrap_or(i64::MAX));
    let mut table = Table::new();
    table["temperature"] = value(calibration.temperature);
    table["dataset"] = value(&calibration.dataset);
    table["temperature_images"] = count(calibration.temperature_images);
    table["threshold_images"] = count(calibration.threshold_images);
    table["measured_images"] = count(calibration.measured_images);
    table["ece_before"] = value(calibration.ece_before);
    table["ece_after"] = value(calibration.ece_after);
    table["command"] = value(&calibration.command);
    let mut sets: Array = calibration.sets.iter().map(row).collect::<Result<_>>()?;
    for row in sets.iter_mut() {
        row.decor_mut().set_prefix("\n    ");
    }
    sets.set_trailing("\n");
    sets.set_trailing_comma(true);
    table["sets"] = value(sets);
    match all.get_mut(&precision.to_string()).and_then(Item::as_table_mut) {
        // Keep its position and the comments above it.
        Some(there) => {
            let decor = there.decor().clone();
            table.set_position(there.position());
            *there = table;
            *there.decor_mut() = decor;
        }
        None => {
            all.insert(&precision.to_string(), Item::Table(table));
        }
    }
    Ok(())
}

fn row(set: &CoverageThreshold) -> Result<Value> {
    let mut row = InlineTable::new();
    row.insert("coverage", set.coverage.into());
    // With the digits of the f32.
    row.insert("threshold", set.threshold.to_string().parse::<f64>()?.into());
    row.insert("found", set.found.into());
    row.insert("mean_size", set.mean_size.into());
    Ok(row.into())
}
