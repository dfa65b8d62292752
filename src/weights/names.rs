//! Gives tensors torchvision's names, by which the other modules look them up.
//!
//! Weights of Hugging Face transformers and of CIFAR ports have other names for the same layers, and training
//! scripts add prefixes, losses and counters; [`rename_to_torchvision`] undoes both. timm's residual networks already
//! have torchvision's names, except ResNet v2, which torchvision lacks: there the network itself has timm's names
//! (`graph/preactivation.rs`). Networks of inverted residual blocks are renamed in `inverted`.

use std::collections::BTreeMap;

use super::tensor::Tensors;
use super::{Framework, head, inverted};

/// The prefix of some tensors of every residual network of Hugging Face transformers.
const TRANSFORMERS: &str = "resnet.embedder.";
/// Attributes in which training scripts keep a network without its classifier.
const BACKBONES: [&str; 12] = [
    "model",
    "module",
    "_orig_mod",
    "backbone",
    "net",
    "network",
    "resnet",
    "encoder",
    "feature_extractor",
    "base_model",
    "base",
    "timm_model",
];
/// Attributes in which they keep averaged weights.
const AVERAGES: [&str; 6] =
    ["ema", "ema_model", "model_ema", "ema_net", "swa_model", "averaged_model"];
/// Attributes that do not belong to the network: losses and metrics.
const EXTRAS: [&str; 6] = ["criterion", "loss", "loss_fn", "loss_fct", "metrics", "metric"];
/// Counters of `thop` (a profiler) and `torch.optim.swa_utils`.
const COUNTERS: [&str; 3] = ["total_ops", "total_params", "n_averaged"];
/// Minimum number of tensors of a network without its classifier.
const MIN_TENSORS: usize = 8;

/// Tensors under torchvision's names.
pub(super) struct RenamedTensors {
    pub(super) tensors: Tensors,
    /// Messages about the changes, one sentence each.
    pub(super) notes: Vec<String>,
    /// The training framework, as far as the names show it.
    pub(super) framework: Framework,
}

/// Renames the tensors to torchvision's names; others keep their names. The library is detected from the
/// names.
pub(super) fn rename_to_torchvision(tensors: Tensors) -> RenamedTensors {
    let mut notes = Vec::new();
    let mut tensors = without_extras(tensors, &mut notes);
    while let Some(prefix) = prefix(&tensors) {
        notes.push(format!("the prefix {prefix:?} of tensor names was left out"));
        let bare = |name: String| name.strip_prefix(&prefix).map_or(name.clone(), str::to_owned);
        tensors = tensors.into_iter().map(|(name, tensor)| (bare(name), tensor)).collect();
    }
    let framework = if inverted::is_port(&tensors) {
        notes
            .push("names of EfficientNet-PyTorch: padding and epsilon are TensorFlow's".to_owned());
        Framework::TensorFlow
    } else {
        Framework::PyTorch
    };
    let tensors = inverted::rename_to_torchvision(tensors);
    let rename = if tensors.keys().any(|name| name.starts_with(TRANSFORMERS)) {
        from_transformers
    } else {
        from_ports
    };
    let renamed = tensors.into_iter().map(|(name, tensor)| (rename(&name).unwrap_or(name), tensor));
    let tensors = head::rename_to_torchvision(renamed.collect(), &mut notes);
    RenamedTensors { tensors, notes, framework }
}

/// Removes tensors that do not belong to the network.
fn without_extras(mut tensors: Tensors, notes: &mut Vec<String>) -> Tensors {
    let first = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    tensors
        .retain(|name, _| !COUNTERS.iter().any(|counter| name.rsplit('.').next() == Some(counter)));
    for (kind, names) in [("averaged weights", &AVERAGES), ("losses and metrics", &EXTRAS)] {
        let is_one = |name: &str| names.contains(&first(name).as_str());
        let count = tensors.keys().filter(|name| is_one(name)).count();
        if count > 0 && count < tensors.len() {
            tensors.retain(|name, _| !is_one(name));
            notes.push(format!("{count} tensors of {kind} beside the network were left out"));
        }
    }
    tensors
}

/// The common prefix of all names, or of all except the classifier's, with its dot.
fn prefix(tensors: &Tensors) -> Option<String> {
    if tensors.keys().any(|name| name.starts_with(TRANSFORMERS)) {
        return None;
    }
    let mut firsts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in tensors.keys() {
        *firsts.entry(name.split_once('.')?.0).or_default() += 1;
    }
    let (first, count) = firsts.iter().max_by_key(|(_, count)| **count)?;
    let is_alone = firsts.len() == 1;
    let has_only_a_head_beside_it = BACKBONES.contains(first)
        && firsts.keys().all(|other| other == first || head::is_head(other));
    (*count >= MIN_TENSORS && (is_alone || has_only_a_head_beside_it)).then(|| format!("{first}."))
}

/// `layer1.0.shortcut.0.weight` of kuangliu's and akamaster's nets for CIFAR is
/// `layer1.0.downsample.0.weight`.
fn from_ports(name: &str) -> Option<String> {
    name.contains(".shortcut.").then(|| name.replace(".shortcut.", ".downsample."))
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

/// transformers counts from 0, torchvision from 1.
fn next(index: &str) -> Option<u32> {
    index.parse::<u32>().ok()?.checked_add(1)
}
