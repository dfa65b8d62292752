//! The starter model: 1,000 classes for who has no model yet. It is fetched and not embedded.

use std::path::PathBuf;

use crate::installed;

/// What `--model` calls it.
pub const NAME: &str = "imagenet";

/// A network of the same architecture on the Hugging Face hub, for machines without the fetched one.
pub const ON_THE_HUB: &str = "timm/efficientnet_lite0.ra_in1k";

/// The folder that `scripts/fetch-imagenet` made, if it is on this machine.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let folders = installed::folders(&["../models/imagenet"], ".models/imagenet");
    folders.into_iter().find(|folder| folder.join(super::CARD).is_file())
}
