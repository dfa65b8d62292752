//! Names of other libraries become torchvision's. timm's are torchvision's already.

use std::collections::BTreeMap;

use super::Tensor;

/// `DataParallel` puts this before every name.
const WRAPPED: &str = "module.";
/// Every residual network of Hugging Face transformers has names that begin so.
const TRANSFORMERS: &str = "resnet.embedder.";

/// The same tensors under torchvision's names; what has no such name keeps its own.
///
/// Which library the names are from is told from the names.
pub(super) fn as_torchvisions(tensors: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    let wrapped = !tensors.is_empty() && tensors.keys().all(|name| name.starts_with(WRAPPED));
    let unwrapped = tensors.into_iter().map(|(name, tensor)| match name.strip_prefix(WRAPPED) {
        Some(inner) if wrapped => (inner.to_owned(), tensor),
        _ => (name, tensor),
    });
    let tensors: BTreeMap<_, _> = unwrapped.collect();
    if !tensors.keys().any(|name| name.starts_with(TRANSFORMERS)) {
        return tensors;
    }
    let renamed = tensors
        .into_iter()
        .map(|(name, tensor)| (from_transformers(&name).unwrap_or(name), tensor));
    renamed.collect()
}

/// `resnet.encoder.stages.0.layers.1.layer.2.convolution.weight` is `layer1.1.conv3.weight`.
fn from_transformers(name: &str) -> Option<String> {
    let (place, tensor) = name.rsplit_once('.')?;
    let parts: Vec<_> = place.split('.').collect();
    let layer = match parts[..] {
        ["classifier", "1"] => "fc".to_owned(),
        ["resnet", "embedder", "embedder", "convolution"] => "conv1".to_owned(),
        ["resnet", "embedder", "embedder", "normalization"] => "bn1".to_owned(),
        ["resnet", "encoder", "stages", stage, "layers", block, ref rest @ ..] => {
            let part = match *rest {
                ["shortcut", "convolution"] => "downsample.0".to_owned(),
                ["shortcut", "normalization"] => "downsample.1".to_owned(),
                ["layer", index, "convolution"] => format!("conv{}", next(index)?),
                ["layer", index, "normalization"] => format!("bn{}", next(index)?),
                _ => return None,
            };
            format!("layer{}.{block}.{part}", next(stage)?)
        }
        _ => return None,
    };
    Some(format!("{layer}.{tensor}"))
}

/// They count from 0, torchvision from 1.
fn next(index: &str) -> Option<u32> {
    index.parse::<u32>().ok()?.checked_add(1)
}
