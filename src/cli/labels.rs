//! Class names from a file, for weights that have none.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::model::ModelCard;

/// `card` with the class names of the file at `path`, one a line.
///
/// One line is enough for a network of one class, whose absence is the second one.
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
        bail!(
            "{} has {} lines, but {} has {classes} classes; write one label per line, in the order of the network's \
         outputs",
            path.display(),
            labels.len(),
            card.name
        );
    }
    Ok(ModelCard { labels, wordnet_ids: Vec::new(), ..card.clone() })
}
