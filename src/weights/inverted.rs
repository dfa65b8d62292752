//! Renames tensors of networks of inverted residual blocks from timm and EfficientNet-PyTorch to the names of
//! torchvision's `mobilenet_v2`, which numbers all blocks and the parts of each.

use std::collections::BTreeMap;

use super::tensor::Tensors;

/// Names of the first convolution in the three libraries.
const TORCHVISION_STEM: &str = "features.0.0.weight";
const TIMM_STEM: &str = "conv_stem.weight";
const PORT_STEM: &str = "_conv_stem.weight";

/// Whether these are names of EfficientNet-PyTorch, whose weights were trained in TensorFlow.
pub(super) fn is_port(tensors: &Tensors) -> bool {
    tensors.contains_key(PORT_STEM)
}

/// Whether these are torchvision's names of such a network, possibly after renaming.
pub(super) fn is_torchvisions(tensors: &Tensors) -> bool {
    tensors.contains_key(TORCHVISION_STEM)
}

/// Renames the tensors to torchvision's names. Tensors of other networks are unchanged.
pub(super) fn rename_to_torchvision(tensors: Tensors) -> Tensors {
    let library = if is_port(&tensors) {
        NamingScheme::Port
    } else if tensors.contains_key(TIMM_STEM) {
        NamingScheme::Timm
    } else {
        return tensors;
    };
    let blocks = Blocks::of(tensors.keys(), library);
    let rename = |name: String| blocks.torchvision_name(&name).unwrap_or(name);
    tensors.into_iter().map(|(name, tensor)| (rename(name), tensor)).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NamingScheme {
    Timm,
    /// EfficientNet-PyTorch.
    Port,
}

/// The parts of a block in order, without and with a convolution that expands the channels; norms follow
/// convolutions.
type NameParts = [&'static str; 6];
const TIMM_FIRST: NameParts = ["conv_dw", "bn1", "conv_pw", "bn2", "", ""];
const TIMM_OTHERS: NameParts = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"];
const PORT_FIRST: NameParts = ["_depthwise_conv", "_bn1", "_project_conv", "_bn2", "", ""];
const PORT_OTHERS: NameParts =
    ["_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2"];

/// The blocks of a network in order, and whether each expands its input.
struct Blocks {
    library: NamingScheme,
    /// By stage and position in the stage; a port has one stage.
    widens: BTreeMap<[usize; 2], bool>,
}

impl Blocks {
    fn of<'a>(names: impl Iterator<Item = &'a String>, library: NamingScheme) -> Self {
        let mut widens: BTreeMap<[usize; 2], bool> = BTreeMap::new();
        for name in names {
            let Some((block, part)) = block_of(name, library) else { continue };
            *widens.entry(block).or_default() |=
                part.starts_with("conv_pwl.") || part.starts_with("_expand_conv.");
        }
        Self { library, widens }
    }

    fn torchvision_name(&self, name: &str) -> Option<String> {
        let Some((block, part)) = block_of(name, self.library) else {
            return self.outside_of_blocks(name);
        };
        let index = 1 + self.widens.keys().position(|known| *known == block)?;
        let parts = match (self.library, self.widens[&block]) {
            (NamingScheme::Timm, false) => TIMM_FIRST,
            (NamingScheme::Timm, true) => TIMM_OTHERS,
            (NamingScheme::Port, false) => PORT_FIRST,
            (NamingScheme::Port, true) => PORT_OTHERS,
        };
        let (part, tensor) = part.split_once('.')?;
        let position = parts.iter().position(|known| *known == part)?;
        // Convolution, norm and activation form one part, except for the last two, which are separate.
        let last = if self.widens[&block] { 4 } else { 2 };
        let place = match position {
            position if position < last => format!("{}.{}", position / 2, position % 2),
            position => (last / 2 + position - last).to_string(),
        };
        Some(format!("features.{index}.conv.{place}.{tensor}"))
    }

    fn outside_of_blocks(&self, name: &str) -> Option<String> {
        let (layer, tensor) = name.split_once('.')?;
        let head = self.widens.len() + 1;
        let layer = match (self.library, layer) {
            (NamingScheme::Timm, "conv_stem") | (NamingScheme::Port, "_conv_stem") => {
                "features.0.0".to_owned()
            }
            (NamingScheme::Timm, "bn1") | (NamingScheme::Port, "_bn0") => "features.0.1".to_owned(),
            (NamingScheme::Timm, "conv_head") | (NamingScheme::Port, "_conv_head") => {
                format!("features.{head}.0")
            }
            (NamingScheme::Timm, "bn2") | (NamingScheme::Port, "_bn1") => {
                format!("features.{head}.1")
            }
            (NamingScheme::Port, "_fc") => "classifier.1".to_owned(),
            _ => return None,
        };
        Some(format!("{layer}.{tensor}"))
    }
}

/// `blocks.2.0.conv_pw.weight` is the part `conv_pw.weight` of the block `[2, 0]`, and
/// `_blocks.5._bn0.bias` the part `_bn0.bias` of `[0, 5]`.
fn block_of(name: &str, library: NamingScheme) -> Option<([usize; 2], &str)> {
    let (stage, rest) = match library {
        NamingScheme::Port => (0, name.strip_prefix("_blocks.")?),
        NamingScheme::Timm => {
            let (stage, rest) = name.strip_prefix("blocks.")?.split_once('.')?;
            (stage.parse().ok()?, rest)
        }
    };
    let (index, part) = rest.split_once('.')?;
    Some(([stage, index.parse().ok()?], part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{DataType, Tensor};

    /// The new names of tensors of a network with two blocks, the second of which expands its input.
    fn renamed(names: &[&str]) -> Vec<String> {
        let scalar =
            Tensor { data_type: DataType::F32, shape: Vec::new(), bytes: Vec::new().into() };
        let scalars = |name: &&str| ((*name).to_owned(), scalar.clone());
        let tensors: Tensors = names.iter().map(scalars).collect();
        let blocks = rename_to_torchvision(tensors);
        blocks.into_keys().collect()
    }

    const TORCHVISION: [&str; 14] = [
        "classifier.1.weight",
        "features.0.0.weight",
        "features.0.1.bias",
        "features.1.conv.0.0.weight",
        "features.1.conv.0.1.bias",
        "features.1.conv.1.weight",
        "features.1.conv.2.running_var",
        "features.2.conv.0.0.weight",
        "features.2.conv.1.0.weight",
        "features.2.conv.1.1.bias",
        "features.2.conv.2.weight",
        "features.2.conv.3.bias",
        "features.3.0.weight",
        "features.3.1.weight",
    ];

    #[test]
    fn names_of_timm_are_renamed() {
        let timm = [
            "classifier.1.weight",
            "conv_stem.weight",
            "bn1.bias",
            "blocks.0.0.conv_dw.weight",
            "blocks.0.0.bn1.bias",
            "blocks.0.0.conv_pw.weight",
            "blocks.0.0.bn2.running_var",
            "blocks.1.0.conv_pw.weight",
            "blocks.1.0.conv_dw.weight",
            "blocks.1.0.bn2.bias",
            "blocks.1.0.conv_pwl.weight",
            "blocks.1.0.bn3.bias",
            "conv_head.weight",
            "bn2.weight",
        ];
        assert_eq!(renamed(&timm), TORCHVISION);
    }

    #[test]
    fn names_of_efficientnet_pytorch_are_renamed() {
        let port = [
            "_fc.weight",
            "_conv_stem.weight",
            "_bn0.bias",
            "_blocks.0._depthwise_conv.weight",
            "_blocks.0._bn1.bias",
            "_blocks.0._project_conv.weight",
            "_blocks.0._bn2.running_var",
            "_blocks.1._expand_conv.weight",
            "_blocks.1._depthwise_conv.weight",
            "_blocks.1._bn1.bias",
            "_blocks.1._project_conv.weight",
            "_blocks.1._bn2.bias",
            "_conv_head.weight",
            "_bn1.weight",
        ];
        assert_eq!(renamed(&port), TORCHVISION);
    }

    #[test]
    fn names_of_other_networks_are_unchanged() {
        let resnet = ["bn1.bias", "conv1.weight", "layer1.0.conv1.weight"];
        assert_eq!(renamed(&resnet), resnet);
    }
}
