//! The starter model with the 1,000 classes of ImageNet, for a first try. It is downloaded, not embedded.

use std::path::PathBuf;

use crate::installed;

/// Its name for `--model`.
pub const NAME: &str = "imagenet";

/// A network of the same architecture on the Hugging Face hub, if the starter model is not installed.
pub const ON_THE_HUB: &str = "timm/efficientnet_lite0.ra_in1k";

/// The folder that `scripts/fetch-imagenet` created, if it exists.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let folders = installed::folders(&["../models/imagenet"], ".models/imagenet");
    folders.into_iter().find(|folder| folder.join(super::CARD).is_file())
}
