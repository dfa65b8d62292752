//! Class names: a list, or the name of a known list.

use serde::{Deserialize, Deserializer, de};

use super::imagenet;

#[derive(Deserialize)]
#[serde(untagged, expecting = "labels must be a list of names, or \"imagenet-1k\"")]
enum Labels {
    Names(Vec<String>),
    Known(String),
}

/// Reads a card's `labels`.
pub(super) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    match Labels::deserialize(from)? {
        Labels::Names(names) => Ok(names),
        Labels::Known(name) if name == imagenet::NAME => Ok(imagenet::labels()),
        Labels::Known(name) => Err(de::Error::custom(format!(
            "labels {name:?} is not a known list; use \"{}\" or a list of names",
            imagenet::NAME
        ))),
    }
}

/// Default names for `classes` without names: those of ImageNet-1k if there are 1,000.
pub(super) fn default_names(classes: usize) -> Vec<String> {
    if classes == imagenet::CLASSES {
        imagenet::labels()
    } else {
        (0..classes).map(|class| format!("class {class}")).collect()
    }
}
