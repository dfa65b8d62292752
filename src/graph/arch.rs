//! The table of architectures. A row contains only independent choices; everything else is derived from them.
//!
//! Channels, strides, names and shapes follow from the row by the paper's rules; `network.rs`
//! applies them. The paper is He, Zhang, Ren and Sun 2015, "Deep residual learning for image
//! recognition" (arXiv:1512.03385); the wide nets are from Zagoruyko and Komodakis 2016
//! (arXiv:1605.07146), the `ResNeXt` from Xie et al. 2017 (arXiv:1611.05431), the
//! `ResNet-D` from He, T. et al. 2019, "Bag of tricks" (arXiv:1812.01187), the
//! squeeze-and-excitation nets from Hu et al. 2018 (arXiv:1709.01507), efficient channel attention
//! from Wang et al. 2019 (arXiv:1910.03151), `ResNet-RS` from Bello et al. 2021 (arXiv:2103.07579),
//! blurred sampling from Zhang 2019 (arXiv:1904.11486), group norm from Wu and He 2018
//! (arXiv:1803.08494), the second version of the residual nets from He et al. 2016
//! (arXiv:1603.05027), VGG from Simonyan and Zisserman 2014 (arXiv:1409.1556), `MobileNetV2` from
//! Sandler et al. 2018 (arXiv:1801.04381), EfficientNet-Lite from Tan and Le 2019 (arXiv:1905.11946).

use super::choices::{
    Activation, Architecture, Attention, Block, Family, FirstStage, Groups, Inverted, Norm,
    Normalization, Residual, Sampling, Shortcut, Stem, Stride,
};
use crate::weights::Framework;
use Activation::{Gelu, Silu};
use Block::{Basic, Bottleneck};
use Framework::{PyTorch, TensorFlow};
use Sampling::{Averaged, Blurred};
use Shortcut::{PooledProjection, Projection, ProjectionAlways, ZeroPad};
use Stride::{On1x1, On3x3};

/// All supported networks, with their parameters and multiply-adds.
///
/// The first four groups are the networks of the paper's Table 1 and section 4.1. Then come variants of
/// torchvision and timm, the CIFAR networks of the paper's section 4.2, ImageNet networks adapted to CIFAR,
/// the plain networks and VGGs that the paper compares with, and networks of inverted residual blocks.
#[rustfmt::skip] // columns stay columns
pub const ARCHITECTURES: &[Architecture] = &[
    imagenet("resnet18",     Basic,             &[2, 2,  2, 2]), // 11.7 M   1.8 G
    imagenet("resnet34",     Basic,             &[3, 4,  6, 3]), // 21.8 M   3.7 G

    imagenet("resnet50",     Bottleneck(On3x3), &[3, 4,  6, 3]), // 25.6 M   4.1 G
    imagenet("resnet101",    Bottleneck(On3x3), &[3, 4, 23, 3]), // 44.5 M   7.8 G
    imagenet("resnet152",    Bottleneck(On3x3), &[3, 8, 36, 3]), // 60.2 M  11.5 G
    imagenet("resnet200",    Bottleneck(On3x3), &[3, 24, 36, 3]), // 64.7 M  15.0 G

    imagenet("resnet50-v1",  Bottleneck(On1x1), &[3, 4,  6, 3]), // 25.6 M   3.9 G
    imagenet("resnet101-v1", Bottleneck(On1x1), &[3, 4, 23, 3]), // 44.5 M   7.6 G
    imagenet("resnet152-v1", Bottleneck(On1x1), &[3, 8, 36, 3]), // 60.2 M  11.3 G

    plain(imagenet("plain18", Basic, &[2, 2, 2, 2])),                     // 11.5 M   1.8 G
    plain(imagenet("plain34", Basic, &[3, 4, 6, 3])),                     // 21.6 M   3.6 G
    with(ZeroPad,          imagenet("resnet34-a", Basic, &[3, 4, 6, 3])), // 21.6 M   3.6 G
    with(ProjectionAlways, imagenet("resnet34-c", Basic, &[3, 4, 6, 3])), // 22.7 M   3.8 G

    grouped(1, 128, imagenet("wide_resnet50_2",   Bottleneck(On3x3), &[3, 4,  6, 3])), //  68.9 M  11.4 G
    grouped(1, 128, imagenet("wide_resnet101_2",  Bottleneck(On3x3), &[3, 4, 23, 3])), // 126.9 M  22.8 G

    grouped(32, 4,  imagenet("resnext50_32x4d",   Bottleneck(On3x3), &[3, 4,  6, 3])), //  25.0 M   4.2 G
    grouped(32, 8,  imagenet("resnext101_32x8d",  Bottleneck(On3x3), &[3, 4, 23, 3])), //  88.8 M  16.4 G
    grouped(64, 4,  imagenet("resnext101_64x4d",  Bottleneck(On3x3), &[3, 4, 23, 3])), //  83.5 M  15.5 G
    grouped(32, 4,  imagenet("resnext101_32x4d",  Bottleneck(On3x3), &[3, 4, 23, 3])), //  44.2 M   8.0 G
    grouped(32, 16, imagenet("resnext101_32x16d", Bottleneck(On3x3), &[3, 4, 23, 3])), // 194.0 M  36.2 G

    deep(imagenet("resnet18d",  Basic,             &[2, 2,  2, 2])), // 11.7 M   2.1 G
    deep(imagenet("resnet34d",  Basic,             &[3, 4,  6, 3])), // 21.8 M   3.9 G
    deep(imagenet("resnet50d",  Bottleneck(On3x3), &[3, 4,  6, 3])), // 25.6 M   4.3 G
    deep(imagenet("resnet101d", Bottleneck(On3x3), &[3, 4, 23, 3])), // 44.6 M   8.0 G
    deep(imagenet("resnet152d", Bottleneck(On3x3), &[3, 8, 36, 3])), // 60.2 M  11.8 G
    deep(imagenet("resnet200d", Bottleneck(On3x3), &[3, 24, 36, 3])), // 64.7 M  15.2 G
    deep(grouped(32, 4, imagenet("resnext50d_32x4d", Bottleneck(On3x3), &[3, 4, 6, 3]))), // 25.0 M   4.5 G

    stemmed([32, 32, 64],  imagenet("resnet50c",  Bottleneck(On3x3), &[3, 4,  6, 3])), // 25.6 M   4.3 G
    stemmed([32, 32, 64],  imagenet("resnet101c", Bottleneck(On3x3), &[3, 4, 23, 3])), // 44.6 M   8.0 G
    stemmed([32, 32, 64],  imagenet("resnet152c", Bottleneck(On3x3), &[3, 8, 36, 3])), // 60.2 M  11.8 G
    stemmed([64, 64, 128], imagenet("resnet50s",  Bottleneck(On3x3), &[3, 4,  6, 3])), // 25.7 M   5.4 G
    stemmed([64, 64, 128], imagenet("resnet101s", Bottleneck(On3x3), &[3, 4, 23, 3])), // 44.7 M   9.2 G
    stemmed([64, 64, 128], imagenet("resnet152s", Bottleneck(On3x3), &[3, 8, 36, 3])), // 60.3 M  12.9 G

    tiered(imagenet("resnet10t", Basic,              &[1, 1,  1, 1])), //  5.4 M   1.1 G
    tiered(imagenet("resnet14t", Bottleneck(On3x3),  &[1, 1,  1, 1])), // 10.1 M   1.7 G
    tiered(imagenet("resnet26t", Bottleneck(On3x3),  &[2, 2,  2, 2])), // 16.0 M   2.6 G
    tiered(imagenet("resnet50t", Bottleneck(On3x3),  &[3, 4,  6, 3])), // 25.6 M   4.3 G
    imagenet("resnet26",         Bottleneck(On3x3),  &[2, 2,  2, 2]),  // 16.0 M   2.4 G
    deep(imagenet("resnet26d",   Bottleneck(On3x3),  &[2, 2,  2, 2])), // 16.0 M   2.6 G

    squeezed(imagenet("seresnet18",  Basic,             &[2, 2,  2, 2])), // 11.8 M   1.8 G
    squeezed(imagenet("seresnet34",  Basic,             &[3, 4,  6, 3])), // 22.0 M   3.7 G
    squeezed(imagenet("seresnet50",  Bottleneck(On3x3), &[3, 4,  6, 3])), // 28.1 M   4.1 G
    squeezed(imagenet("seresnet101", Bottleneck(On3x3), &[3, 4, 23, 3])), // 49.3 M   7.8 G
    squeezed(imagenet("seresnet152", Bottleneck(On3x3), &[3, 8, 36, 3])), // 66.8 M  11.5 G

    squeezed(grouped(32, 4, imagenet("seresnext50_32x4d",  Bottleneck(On3x3), &[3, 4,  6, 3]))), // 27.6 M   4.2 G
    squeezed(grouped(32, 4, imagenet("seresnext101_32x4d", Bottleneck(On3x3), &[3, 4, 23, 3]))), // 49.0 M   8.0 G
    squeezed(grouped(32, 8, imagenet("seresnext101_32x8d", Bottleneck(On3x3), &[3, 4, 23, 3]))), // 93.6 M  16.4 G
    squeezed(tiered(imagenet("seresnet50t",  Bottleneck(On3x3), &[3, 4,  6, 3]))), // 28.1 M   4.3 G
    squeezed(deep(imagenet("seresnet152d",   Bottleneck(On3x3), &[3, 8, 36, 3]))), // 66.8 M  11.8 G

    attended(tiered(imagenet("ecaresnet26t",  Bottleneck(On3x3), &[2, 2,  2, 2]))), // 16.0 M   2.6 G
    attended(tiered(imagenet("ecaresnet50t",  Bottleneck(On3x3), &[3, 4,  6, 3]))), // 25.6 M   4.3 G
    attended(deep(imagenet("ecaresnet50d",    Bottleneck(On3x3), &[3, 4,  6, 3]))), // 25.6 M   4.3 G
    attended(deep(imagenet("ecaresnet101d",   Bottleneck(On3x3), &[3, 4, 23, 3]))), // 44.6 M   8.0 G

    rescaled(imagenet("resnetrs50",  Bottleneck(On3x3), &[3,  4,  6, 3])), // 35.7 M   4.5 G
    rescaled(imagenet("resnetrs101", Bottleneck(On3x3), &[3,  4, 23, 3])), // 63.6 M   8.2 G
    rescaled(imagenet("resnetrs152", Bottleneck(On3x3), &[3,  8, 36, 3])), // 86.6 M  11.9 G
    rescaled(imagenet("resnetrs200", Bottleneck(On3x3), &[3, 24, 36, 3])), // 93.2 M  15.4 G

    sampled(Averaged, imagenet("resnetaa50",        Bottleneck(On3x3), &[3, 4,  6, 3])),  // 25.6 M   5.1 G
    sampled(Averaged, deep(imagenet("resnetaa34d",  Basic,             &[3, 4,  6, 3]))), // 21.8 M   4.4 G
    sampled(Averaged, deep(imagenet("resnetaa50d",  Bottleneck(On3x3), &[3, 4,  6, 3]))), // 25.6 M   5.4 G
    sampled(Averaged, deep(imagenet("resnetaa101d", Bottleneck(On3x3), &[3, 4, 23, 3]))), // 44.6 M   9.1 G
    sampled(Blurred, imagenet("resnetblur18",        Basic,             &[2, 2,  2, 2])),  // 11.7 M   2.3 G
    sampled(Blurred, imagenet("resnetblur50",        Bottleneck(On3x3), &[3, 4,  6, 3])),  // 25.6 M   5.1 G
    sampled(Blurred, deep(imagenet("resnetblur50d",  Bottleneck(On3x3), &[3, 4,  6, 3]))), // 25.6 M   5.4 G
    sampled(Blurred, deep(imagenet("resnetblur101d", Bottleneck(On3x3), &[3, 4, 23, 3]))), // 44.6 M   9.1 G

    group_normed(imagenet("resnet50_gn", Bottleneck(On3x3), &[3, 4, 6, 3])), // 25.6 M   4.1 G

    preactivated(imagenet("resnetv2_50",  Bottleneck(On3x3), &[3, 4,  6, 3])), // 25.5 M   4.1 G
    preactivated(imagenet("resnetv2_101", Bottleneck(On3x3), &[3, 4, 23, 3])), // 44.5 M   7.8 G
    preactivated(imagenet("resnetv2_152", Bottleneck(On3x3), &[3, 8, 36, 3])), // 60.2 M  11.5 G

    cifar("resnet20",   &[  3,   3,   3]), //  0.27 M   0.04 G
    cifar("resnet32",   &[  5,   5,   5]), //  0.46 M   0.07 G
    cifar("resnet44",   &[  7,   7,   7]), //  0.66 M   0.10 G
    cifar("resnet56",   &[  9,   9,   9]), //  0.85 M   0.13 G
    cifar("resnet110",  &[ 18,  18,  18]), //  1.7  M   0.25 G
    cifar("resnet1202", &[200, 200, 200]), // 19.4  M   2.8  G

    with(Projection, cifar("resnet20-b",  &[ 3,  3,  3])), // 0.27 M   0.04 G
    with(Projection, cifar("resnet32-b",  &[ 5,  5,  5])), // 0.47 M   0.07 G
    with(Projection, cifar("resnet44-b",  &[ 7,  7,  7])), // 0.66 M   0.10 G
    with(Projection, cifar("resnet56-b",  &[ 9,  9,  9])), // 0.86 M   0.13 G
    with(Projection, cifar("resnet110-b", &[18, 18, 18])), // 1.7  M   0.26 G

    small(Stem::Conv3x3, imagenet("resnet18-cifar",  Basic,             &[2, 2,  2, 2])), // 11.2 M   0.6 G
    small(Stem::Conv3x3, imagenet("resnet34-cifar",  Basic,             &[3, 4,  6, 3])), // 21.3 M   1.2 G
    small(Stem::Conv3x3, imagenet("resnet50-cifar",  Bottleneck(On3x3), &[3, 4,  6, 3])), // 23.5 M   1.3 G
    small(Stem::Conv3x3, imagenet("resnet101-cifar", Bottleneck(On3x3), &[3, 4, 23, 3])), // 42.5 M   2.5 G
    small(Stem::Conv3x3, imagenet("resnet152-cifar", Bottleneck(On3x3), &[3, 8, 36, 3])), // 58.2 M   3.7 G
    small(Stem::Conv3x3MaxPool, imagenet("resnet18-cifar-maxpool", Basic,             &[2, 2, 2, 2])), // 11.2 M   0.1 G
    small(Stem::Conv3x3MaxPool, imagenet("resnet34-cifar-maxpool", Basic,             &[3, 4, 6, 3])), // 21.3 M   0.3 G
    small(Stem::Conv3x3MaxPool, imagenet("resnet50-cifar-maxpool", Bottleneck(On3x3), &[3, 4, 6, 3])), // 23.5 M   0.3 G

    plain(cifar("plain20",  &[ 3,  3,  3])), // 0.27 M   0.04 G
    plain(cifar("plain32",  &[ 5,  5,  5])), // 0.46 M   0.07 G
    plain(cifar("plain44",  &[ 7,  7,  7])), // 0.66 M   0.10 G
    plain(cifar("plain56",  &[ 9,  9,  9])), // 0.85 M   0.13 G
    plain(cifar("plain110", &[18, 18, 18])), // 1.7  M   0.25 G

    vgg("vgg11",    Norm::None,  &[1, 1, 2, 2, 2]), // 132.9 M   7.6 G
    vgg("vgg13",    Norm::None,  &[2, 2, 2, 2, 2]), // 133.0 M  11.3 G
    vgg("vgg16",    Norm::None,  &[2, 2, 3, 3, 3]), // 138.4 M  15.5 G
    vgg("vgg19",    Norm::None,  &[2, 2, 4, 4, 4]), // 143.7 M  19.6 G
    vgg("vgg11_bn", Norm::Batch, &[1, 1, 2, 2, 2]), // 132.9 M   7.6 G
    vgg("vgg13_bn", Norm::Batch, &[2, 2, 2, 2, 2]), // 133.1 M  11.3 G
    vgg("vgg16_bn", Norm::Batch, &[2, 2, 3, 3, 3]), // 138.4 M  15.5 G
    vgg("vgg19_bn", Norm::Batch, &[2, 2, 4, 4, 4]), // 143.7 M  19.6 G

    mobile("mobilenet_v2",    [32, 1280], [16, 24, 32,  64,  96, 160, 320], &[1, 2, 3, 4, 3, 3, 1]), // 3.5 M  0.3 G
    mobile("mobilenetv2_050", [16, 1280], [ 8, 16, 16,  32,  48,  80, 160], &[1, 2, 3, 4, 3, 3, 1]), // 2.0 M  0.1 G
    mobile("mobilenetv2_140", [48, 1792], [24, 32, 48,  88, 136, 224, 448], &[1, 2, 3, 4, 3, 3, 1]), // 6.1 M  0.6 G

    lite("efficientnet_lite0", PyTorch, 224, [16, 24, 40,  80, 112, 192, 320], &[1, 2, 2, 3, 3, 4, 1]), //  4.7 M  0.4 G
    lite("efficientnet_lite1", PyTorch, 240, [16, 24, 40,  80, 112, 192, 320], &[1, 3, 3, 4, 4, 5, 1]), //  5.4 M  0.6 G
    lite("efficientnet_lite2", PyTorch, 260, [16, 24, 48,  88, 120, 208, 352], &[1, 3, 3, 4, 4, 5, 1]), //  6.1 M  0.9 G
    lite("efficientnet_lite3", PyTorch, 300, [24, 32, 48,  96, 136, 232, 384], &[1, 3, 3, 5, 5, 6, 1]), //  8.2 M  1.6 G
    lite("efficientnet_lite4", PyTorch, 380, [24, 32, 56, 112, 160, 272, 448], &[1, 4, 4, 6, 6, 8, 1]), // 13.0 M  4.0 G

    lite("tf_efficientnet_lite0", TensorFlow, 224, [16, 24, 40,  80, 112, 192, 320], &[1, 2, 2, 3, 3, 4, 1]), //  4.7 M  0.4 G
    lite("tf_efficientnet_lite1", TensorFlow, 240, [16, 24, 40,  80, 112, 192, 320], &[1, 3, 3, 4, 4, 5, 1]), //  5.4 M  0.6 G
    lite("tf_efficientnet_lite2", TensorFlow, 260, [16, 24, 48,  88, 120, 208, 352], &[1, 3, 3, 4, 4, 5, 1]), //  6.1 M  0.9 G
    lite("tf_efficientnet_lite3", TensorFlow, 300, [24, 32, 48,  96, 136, 232, 384], &[1, 3, 3, 5, 5, 6, 1]), //  8.2 M  1.6 G
    lite("tf_efficientnet_lite4", TensorFlow, 380, [24, 32, 56, 112, 160, 272, 448], &[1, 4, 4, 6, 6, 8, 1]), // 13.0 M  4.0 G
];

/// Rows of Hugging Face transformers' options: for each network one for `hidden_act` `gelu` and `silu`, one for
/// `downsample_in_first_stage`, whose last feature map has a stride of 64 pixels instead of 32, and both.
macro_rules! variants {
    ($($name:literal, $block:expr, $blocks:expr;)+) => {
        &[$(
            activated(Gelu, imagenet(concat!($name, "-gelu"), $block, $blocks)),
            activated(Silu, imagenet(concat!($name, "-silu"), $block, $blocks)),
            halved(imagenet(concat!($name, "-stride64"), $block, $blocks)),
            halved(activated(Gelu, imagenet(concat!($name, "-stride64-gelu"), $block, $blocks))),
            halved(activated(Silu, imagenet(concat!($name, "-stride64-silu"), $block, $blocks))),
        )+]
    };
}

/// Variants of networks of [`ARCHITECTURES`]. They are so rare that only `--arch`, the file's name or a
/// `config.json` selects them: without these, the same tensors are taken for those of the usual network. Only
/// `resnet18-stride64` and `resnet34-stride64` have tensors of their own (one projection more), which select them.
#[rustfmt::skip] // columns stay columns
pub const VARIANTS: &[Architecture] = variants! {
    "resnet18",     Basic,              &[2, 2,  2, 2];
    "resnet34",     Basic,              &[3, 4,  6, 3];
    "resnet26",     Bottleneck(On3x3),  &[2, 2,  2, 2];
    "resnet50",     Bottleneck(On3x3),  &[3, 4,  6, 3];
    "resnet101",    Bottleneck(On3x3),  &[3, 4, 23, 3];
    "resnet152",    Bottleneck(On3x3),  &[3, 8, 36, 3];
    "resnet200",    Bottleneck(On3x3),  &[3, 24, 36, 3];
    "resnet50-v1",  Bottleneck(On1x1),  &[3, 4,  6, 3];
    "resnet101-v1", Bottleneck(On1x1),  &[3, 4, 23, 3];
    "resnet152-v1", Bottleneck(On1x1),  &[3, 8, 36, 3];
};

/// Other names of rows: those of timm, and of a package with trained weights.
const ALIASES: [(&str, &str); 6] = [
    ("mobilenetv2_100", "mobilenet_v2"),
    ("efficientnet-lite0", "tf_efficientnet_lite0"),
    ("efficientnet-lite1", "tf_efficientnet_lite1"),
    ("efficientnet-lite2", "tf_efficientnet_lite2"),
    ("efficientnet-lite3", "tf_efficientnet_lite3"),
    ("efficientnet-lite4", "tf_efficientnet_lite4"),
];

/// The row called `name`.
///
/// # Errors
///
/// [`UnknownArchitecture`], which lists the known names.
pub fn find(name: &str) -> Result<&'static Architecture, UnknownArchitecture> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let row_name = alias.map_or(name, |(_, row)| row);
    all()
        .find(|row| row.name == row_name)
        .ok_or_else(|| UnknownArchitecture { name: name.to_owned() })
}

/// No row has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown architecture {name:?}; known architectures: {}; resnetd describe also lists their variants, such \
     as resnet50-gelu",
    ARCHITECTURES.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
)]
pub struct UnknownArchitecture {
    /// The requested name.
    pub name: String,
}

/// All rows: those of [`ARCHITECTURES`], then [`VARIANTS`].
pub fn all() -> impl Iterator<Item = &'static Architecture> {
    ARCHITECTURES.iter().chain(VARIANTS)
}

const fn imagenet(name: &'static str, block: Block, blocks: &'static [usize]) -> Architecture {
    let family = Family::Residual(Residual {
        stem: Stem::Conv7x7MaxPool,
        block,
        groups: Groups { count: 1, width: 64 },
        shortcut: Projection,
        attention: Attention::None,
        sampling: Sampling::Strided,
        normalization: Normalization::Batch,
        activation: Activation::Relu,
        first_stage: FirstStage::Kept,
    });
    Architecture { name, family, blocks, width: 64, input: [224, 224], classes: 1000 }
}

const fn cifar(name: &'static str, blocks: &'static [usize]) -> Architecture {
    let family = Family::Residual(Residual {
        stem: Stem::Conv3x3,
        block: Basic,
        groups: Groups { count: 1, width: 16 },
        shortcut: ZeroPad,
        attention: Attention::None,
        sampling: Sampling::Strided,
        normalization: Normalization::Batch,
        activation: Activation::Relu,
        first_stage: FirstStage::Kept,
    });
    Architecture { name, family, blocks, width: 16, input: [32, 32], classes: 10 }
}

const fn vgg(name: &'static str, norm: Norm, blocks: &'static [usize]) -> Architecture {
    let family = Family::Vgg(norm);
    Architecture { name, family, blocks, width: 64, input: [224, 224], classes: 1000 }
}

/// `MobileNetV2` with the given channels of stem and head, and of its stages.
const fn mobile(
    name: &'static str,
    [width, head]: [usize; 2],
    channels: [usize; 7],
    blocks: &'static [usize],
) -> Architecture {
    let family = Family::Inverted(Inverted { channels, kernels: [3; 7], head, framework: PyTorch });
    Architecture { name, family, blocks, width, input: [224, 224], classes: 1000 }
}

/// EfficientNet-Lite: stem and head have the same channels in every size.
const fn lite(
    name: &'static str,
    framework: Framework,
    input: u32,
    channels: [usize; 7],
    blocks: &'static [usize],
) -> Architecture {
    let kernels = [3, 3, 5, 3, 5, 5, 3];
    let family = Family::Inverted(Inverted { channels, kernels, head: 1280, framework });
    Architecture { name, family, blocks, width: 32, input: [input; 2], classes: 1000 }
}

/// The same layers without shortcuts.
const fn plain(row: Architecture) -> Architecture {
    with(Shortcut::None, row)
}

const fn with(shortcut: Shortcut, row: Architecture) -> Architecture {
    changed(row, Residual { shortcut, ..choices(row) })
}

/// `ResNet-D`: a deep stem, and average pools before the projections.
const fn deep(row: Architecture) -> Architecture {
    let stem = Stem::Deep3x3MaxPool([32, 32, 64]);
    changed(row, Residual { stem, shortcut: PooledProjection, ..choices(row) })
}

/// timm's tiered networks: `ResNet-D` with a stem whose channels increase with each convolution.
const fn tiered(row: Architecture) -> Architecture {
    let stem = Stem::Deep3x3MaxPool([24, 32, 64]);
    changed(row, Residual { stem, shortcut: PooledProjection, ..choices(row) })
}

/// `ResNet-C`: only the deep stem, with these channels.
const fn stemmed(channels: [usize; 3], row: Architecture) -> Architecture {
    changed(row, Residual { stem: Stem::Deep3x3MaxPool(channels), ..choices(row) })
}

/// A variant for CIFAR images, with ten classes.
const fn small(stem: Stem, row: Architecture) -> Architecture {
    let row = Architecture { input: [32, 32], classes: 10, ..row };
    changed(row, Residual { stem, ..choices(row) })
}

const fn squeezed(row: Architecture) -> Architecture {
    changed(row, Residual { attention: Attention::SqueezeExcitation(16), ..choices(row) })
}

const fn attended(row: Architecture) -> Architecture {
    changed(row, Residual { attention: Attention::EfficientChannel, ..choices(row) })
}

/// `ResNet-RS`: `ResNet-D` without a pool in its stem, and wider squeeze and excitation.
const fn rescaled(row: Architecture) -> Architecture {
    let residual = Residual {
        stem: Stem::Deep3x3([32, 32, 64]),
        shortcut: PooledProjection,
        attention: Attention::SqueezeExcitation(4),
        ..choices(row)
    };
    changed(row, residual)
}

const fn sampled(sampling: Sampling, row: Architecture) -> Architecture {
    changed(row, Residual { sampling, ..choices(row) })
}

const fn group_normed(row: Architecture) -> Architecture {
    changed(row, Residual { normalization: Normalization::Group, ..choices(row) })
}

const fn preactivated(row: Architecture) -> Architecture {
    changed(row, Residual { normalization: Normalization::PreActivation, ..choices(row) })
}

const fn activated(activation: Activation, row: Architecture) -> Architecture {
    changed(row, Residual { activation, ..choices(row) })
}

/// The same with a first stage that halves height and width.
const fn halved(row: Architecture) -> Architecture {
    changed(row, Residual { first_stage: FirstStage::Halved, ..choices(row) })
}

/// `count` groups of `width` channels in the first stage's 3×3 convolutions.
const fn grouped(count: usize, width: usize, row: Architecture) -> Architecture {
    changed(row, Residual { groups: Groups { count, width }, ..choices(row) })
}

const fn choices(row: Architecture) -> Residual {
    match row.family {
        Family::Residual(residual) => residual,
        // When compiled.
        Family::Vgg(_) | Family::Inverted(_) => panic!("a row asks for blocks that its net lacks"),
    }
}

const fn changed(row: Architecture, residual: Residual) -> Architecture {
    Architecture { family: Family::Residual(residual), ..row }
}
