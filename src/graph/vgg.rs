//! VGG: stages of 3×3 convolutions, then three linear layers. Simonyan and Zisserman 2014, Table 1.

use super::block::Convolution;
use super::choices::{Activation, Architecture, Norm};
use super::layer::{LayerKind, Stage};
use super::layer_list::{LayerList, LayerOutput};

/// Height and width of the first linear layer's input, to which torchvision pools.
const MAP: usize = 7;
/// Number of outputs of the first two linear layers.
const HIDDEN: usize = 4096;

/// Adds the layers of a VGG after the input.
pub(super) fn expand(
    layers: &mut LayerList,
    pixels: LayerOutput,
    row: &Architecture,
    norm: Norm,
    classes: usize,
) {
    let mut x = pixels;
    // torchvision numbers all layers before the pool, including those without weights.
    let mut names = (0..).map(|index| format!("features.{index}"));
    let mut next = move || names.next().expect("endless");
    for (stage, &convolutions) in row.blocks.iter().enumerate() {
        layers.stage = stage.checked_sub(1).map_or(Stage::Stem, Stage::Blocks);
        for _ in 0..convolutions {
            let channels = row.base_channels << stage.min(3);
            x = layers.conv(&next(), x, Convolution::new(3, channels).biased());
            if norm == Norm::Batch {
                x = layers.norm(&next(), x);
            }
            x = layers.same(&next(), LayerKind::Activation(Activation::Relu), x);
        }
        x = layers.same(&next(), LayerKind::MaxPool { kernel: 2, stride: 2 }, x);
    }
    layers.stage = Stage::Head;
    x = layers.same("avgpool", LayerKind::AveragePool { size: MAP }, x);
    x = layers.linear("classifier.0", x, MAP, HIDDEN);
    x = layers.same("classifier.1", LayerKind::Activation(Activation::Relu), x);
    x = layers.linear("classifier.3", x, 1, HIDDEN); // 2 and 5 are dropout, in training only
    x = layers.same("classifier.4", LayerKind::Activation(Activation::Relu), x);
    layers.linear("classifier.6", x, 1, classes);
}
