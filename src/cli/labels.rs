//! Class names from a file, for weights without names.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::classify_load_error::CheckFailed;
use crate::model::ModelCard;
use crate::telemetry::LoadFailure;

/// `card` with the class names in the file at `path`, one per line.
///
/// A network with one output has two classes, such as `cat` and `not cat`; the file may have only the first.
pub(super) fn replaced(card: &ModelCard, path: &Path) -> Result<ModelCard> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut labels: Vec<String> = text.lines().map(|label| label.trim().to_owned()).collect();
    if let ([label], [class, absence]) = (&labels[..], &card.labels[..])
        && *absence == format!("not {class}")
    {
        let absence = format!("not {label}");
        labels.push(absence);
    }
    let classes = card.labels.len();
    if labels.len() != classes {
        let message = format!(
            "{} has {} lines, but {} has {classes} classes; write one label per line, in the order of the network's \
         outputs",
            path.display(),
            labels.len(),
            card.name
        );
        return Err(CheckFailed::new(LoadFailure::Card, message).into());
    }
    Ok(ModelCard { labels, wordnet_ids: Vec::new(), ..card.clone() })
}
