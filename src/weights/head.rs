//! Renames the classifier of a network to `fc`, to `classifier.6` for a VGG, or to `classifier.1` for a
//! network of inverted residual blocks.

use super::tensor::Tensors;
use super::{DataType, Tensor, inverted};

/// First parts of the names of classifiers.
const HEADS: [&str; 10] = [
    "fc",
    "classifier",
    "head",
    "heads",
    "linear",
    "last_linear",
    "output",
    "out",
    "clf",
    "logits",
];

/// Whether `first` is the first part of a classifier's name.
pub(super) fn is_head(first: &str) -> bool {
    HEADS.contains(&first)
}

/// Gives the classifier torchvision's name, as a linear layer with a bias.
///
/// The classifier may be in a `Sequential` (`fc.1`) or have another name (`linear`, `head.fc`). If it has no
/// bias, a bias of zeros is added. Several linear layers are not renamed.
pub(super) fn rename_to_torchvision(mut tensors: Tensors, notes: &mut Vec<String>) -> Tensors {
    flatten_kernels(&mut tensors);
    let torchvision_names: &[&str] = if inverted::is_torchvisions(&tensors) {
        &["classifier.1"]
    } else {
        &["fc", "classifier.6"]
    };
    for &torchvision_name in torchvision_names {
        let Some(found) = the_linear(&tensors, torchvision_name) else { continue };
        if found == torchvision_name {
            continue;
        }
        notes.push(format!("the classifier {found:?} is loaded as {torchvision_name:?}"));
        let prefix = format!("{found}.");
        let renamed = tensors.into_iter().map(|(name, tensor)| match name.strip_prefix(&prefix) {
            Some(part) => (format!("{torchvision_name}.{part}"), tensor),
            None => (name, tensor),
        });
        tensors = renamed.collect();
    }
    add_biases(&mut tensors, notes);
    tensors
}

/// Converts a classifier that is a 1×1 convolution to a linear layer.
fn flatten_kernels(tensors: &mut Tensors) {
    for (name, tensor) in tensors {
        let first = name.split('.').next().unwrap_or_default();
        if let ([_, _, 1, 1], true, true) =
            (&tensor.shape[..], is_head(first), name.ends_with(".weight"))
        {
            tensor.shape.truncate(2);
        }
    }
}

/// The name of the only linear layer that can be the classifier. For `fc` and `classifier.1` it is any layer whose
/// name begins with one of [`HEADS`]; for `classifier.6`, whose network has more linear layers, it is that one or one
/// below it.
fn the_linear(tensors: &Tensors, torchvision_name: &str) -> Option<String> {
    let mut layers = tensors.iter().filter_map(|(name, tensor)| {
        let layer = name.strip_suffix(".weight")?;
        let first = layer.split('.').next()?;
        let is_meant = match torchvision_name {
            "fc" | "classifier.1" => is_head(first),
            below => {
                layer == below || layer.strip_prefix(below).is_some_and(|r| r.starts_with('.'))
            }
        };
        (tensor.shape.len() == 2 && is_meant).then(|| layer.to_owned())
    });
    let layer = layers.next()?;
    layers.next().is_none().then_some(layer)
}

fn add_biases(tensors: &mut Tensors, notes: &mut Vec<String>) {
    let without: Vec<(String, usize)> = tensors
        .iter()
        .filter(|(_, tensor)| tensor.shape.len() == 2)
        .filter_map(|(name, tensor)| {
            let layer = name.strip_suffix(".weight")?;
            let bias = format!("{layer}.bias");
            let is_head = is_head(layer.split('.').next()?);
            (is_head && !tensors.contains_key(&bias)).then(|| (bias, tensor.shape[0]))
        })
        .collect();
    for (bias, outputs) in without {
        notes.push(format!("{bias:?} is not there: the classifier has no bias"));
        let zeros = Tensor {
            data_type: DataType::F32,
            shape: vec![outputs],
            bytes: vec![0; 4 * outputs].into(),
        };
        tensors.insert(bias, zeros);
    }
}
