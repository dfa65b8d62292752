//! Builds the rows of the table of architectures: first networks, then changes of one choice in the order of
//! [`Residual`]'s fields, then changes of several choices.

use super::choices::{
    Activation, Architecture, Attention, Block, Family, FirstStage, Groups, Inverted, Norm,
    Normalization, Residual, Sampling, Shortcut, Stem,
};
use crate::weights::Framework;
use Block::Basic;
use Framework::PyTorch;
use Shortcut::{PooledProjection, Projection, ZeroPad};

/// A residual network of the paper for ImageNet (Table 1), with option B for shortcuts.
pub(super) const fn imagenet(
    name: &'static str,
    block: Block,
    blocks: &'static [usize],
) -> Architecture {
    let family = Family::Residual(Residual {
        stem: Stem::Conv7x7MaxPool,
        block,
        groups: Groups { count: 1, channels: 64 },
        shortcut: Projection,
        attention: Attention::None,
        sampling: Sampling::Strided,
        normalization: Normalization::Batch,
        activation: Activation::Relu,
        first_stage: FirstStage::Kept,
    });
    Architecture { name, family, blocks, base_channels: 64, input: [224, 224], classes: 1000 }
}

/// A residual network of the paper for CIFAR-10 (section 4.2), with option A for shortcuts.
pub(super) const fn cifar(name: &'static str, blocks: &'static [usize]) -> Architecture {
    let family = Family::Residual(Residual {
        stem: Stem::Conv3x3,
        block: Basic,
        groups: Groups { count: 1, channels: 16 },
        shortcut: ZeroPad,
        attention: Attention::None,
        sampling: Sampling::Strided,
        normalization: Normalization::Batch,
        activation: Activation::Relu,
        first_stage: FirstStage::Kept,
    });
    Architecture { name, family, blocks, base_channels: 16, input: [32, 32], classes: 10 }
}

/// A VGG for ImageNet.
pub(super) const fn vgg(name: &'static str, norm: Norm, blocks: &'static [usize]) -> Architecture {
    let family = Family::Vgg(norm);
    Architecture { name, family, blocks, base_channels: 64, input: [224, 224], classes: 1000 }
}

/// `MobileNetV2` with the given channels of stem and head, and of its stages.
pub(super) const fn mobilenet_v2(
    name: &'static str,
    [base_channels, head]: [usize; 2],
    channels: [usize; 7],
    blocks: &'static [usize],
) -> Architecture {
    let family = Family::Inverted(Inverted { channels, kernels: [3; 7], head, framework: PyTorch });
    Architecture { name, family, blocks, base_channels, input: [224, 224], classes: 1000 }
}

/// EfficientNet-Lite: stem and head have the same channels in every size.
pub(super) const fn efficientnet_lite(
    name: &'static str,
    framework: Framework,
    input: u32,
    channels: [usize; 7],
    blocks: &'static [usize],
) -> Architecture {
    let kernels = [3, 3, 5, 3, 5, 5, 3];
    let family = Family::Inverted(Inverted { channels, kernels, head: 1280, framework });
    Architecture { name, family, blocks, base_channels: 32, input: [input; 2], classes: 1000 }
}

/// The same network with another stem, for CIFAR images and ten classes.
pub(super) const fn for_cifar(stem: Stem, row: Architecture) -> Architecture {
    let row = Architecture { input: [32, 32], classes: 10, ..row };
    with_residual(row, Residual { stem, ..residual_of(row) })
}

/// `ResNet-C` and `ResNet-S`: a deep stem with these channels.
pub(super) const fn deep_stem(channels: [usize; 3], row: Architecture) -> Architecture {
    with_residual(row, Residual { stem: Stem::Deep3x3MaxPool(channels), ..residual_of(row) })
}

/// The same network with `count` groups of `channels` channels in the first stage's 3×3 convolutions.
pub(super) const fn with_groups(count: usize, channels: usize, row: Architecture) -> Architecture {
    with_residual(row, Residual { groups: Groups { count, channels }, ..residual_of(row) })
}

/// The same network with another shortcut.
pub(super) const fn with_shortcut(shortcut: Shortcut, row: Architecture) -> Architecture {
    with_residual(row, Residual { shortcut, ..residual_of(row) })
}

/// The plain network: the same layers without shortcuts.
pub(super) const fn plain(row: Architecture) -> Architecture {
    with_shortcut(Shortcut::None, row)
}

/// The same network with squeeze and excitation in each block.
pub(super) const fn with_se(row: Architecture) -> Architecture {
    with_residual(row, Residual { attention: Attention::SqueezeExcitation(16), ..residual_of(row) })
}

/// The same network with efficient channel attention in each block.
pub(super) const fn with_eca(row: Architecture) -> Architecture {
    with_residual(row, Residual { attention: Attention::EfficientChannel, ..residual_of(row) })
}

/// The same network, whose blocks halve height and width in another way.
pub(super) const fn with_sampling(sampling: Sampling, row: Architecture) -> Architecture {
    with_residual(row, Residual { sampling, ..residual_of(row) })
}

/// The same network with group norm instead of batch norm.
pub(super) const fn with_group_norm(row: Architecture) -> Architecture {
    with_residual(row, Residual { normalization: Normalization::Group, ..residual_of(row) })
}

/// The second version of a residual network, with norm and activation before each convolution.
pub(super) const fn resnet_v2(row: Architecture) -> Architecture {
    with_residual(row, Residual { normalization: Normalization::PreActivation, ..residual_of(row) })
}

/// The same network with another activation after the stem and after each block.
pub(super) const fn with_activation(activation: Activation, row: Architecture) -> Architecture {
    with_residual(row, Residual { activation, ..residual_of(row) })
}

/// The same network with a first stage that halves height and width, too: `downsample_in_first_stage` of Hugging
/// Face transformers.
pub(super) const fn downsample_first_stage(row: Architecture) -> Architecture {
    with_residual(row, Residual { first_stage: FirstStage::Halved, ..residual_of(row) })
}

/// `ResNet-D`: a deep stem, and average pools before the projections.
pub(super) const fn resnet_d(row: Architecture) -> Architecture {
    let stem = Stem::Deep3x3MaxPool([32, 32, 64]);
    with_residual(row, Residual { stem, shortcut: PooledProjection, ..residual_of(row) })
}

/// timm's tiered networks: `ResNet-D` with a stem whose channels increase with each convolution.
pub(super) const fn resnet_t(row: Architecture) -> Architecture {
    let stem = Stem::Deep3x3MaxPool([24, 32, 64]);
    with_residual(row, Residual { stem, shortcut: PooledProjection, ..residual_of(row) })
}

/// `ResNet-RS`: `ResNet-D` without a pool in its stem, and wider squeeze and excitation.
pub(super) const fn resnet_rs(row: Architecture) -> Architecture {
    let residual = Residual {
        stem: Stem::Deep3x3([32, 32, 64]),
        shortcut: PooledProjection,
        attention: Attention::SqueezeExcitation(4),
        ..residual_of(row)
    };
    with_residual(row, residual)
}

const fn residual_of(row: Architecture) -> Residual {
    match row.family {
        Family::Residual(residual) => residual,
        // A wrong row does not compile.
        Family::Vgg(_) | Family::Inverted(_) => {
            panic!("this change applies to residual networks only")
        }
    }
}

const fn with_residual(row: Architecture, residual: Residual) -> Architecture {
    Architecture { family: Family::Residual(residual), ..row }
}
