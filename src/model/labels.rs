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

/// Whether `labels` are placeholders: the default names, or those that Hugging Face transformers writes for a model
/// without class names.
pub(super) fn are_placeholders(labels: &[String]) -> bool {
    let are_numbered = |prefix: &str| {
        let absence = format!("not {prefix}0"); // the second class of a network with one class
        labels.iter().enumerate().all(|(class, label)| {
            *label == format!("{prefix}{class}") || (class == 1 && *label == absence)
        })
    };
    !labels.is_empty() && (are_numbered("class ") || are_numbered("LABEL_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_distinguished_from_class_names() {
        let labels = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(are_placeholders(&default_names(7)));
        assert!(are_placeholders(&labels(&["LABEL_0", "LABEL_1"])));
        assert!(are_placeholders(&labels(&["class 0", "not class 0"])));
        assert!(!are_placeholders(&default_names(imagenet::CLASSES)));
        assert!(!are_placeholders(&labels(&["class 1", "class 2"])), "not counted from 0");
        assert!(!are_placeholders(&labels(&["class 0", "dog"])));
    }
}
