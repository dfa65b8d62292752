//! ResNet v2: He et al. 2016, "Identity mappings in deep residual networks" (arXiv:1603.05027), Figure 1b.
//! Norm and ReLU come before each convolution, and an identity shortcut passes through neither. Names are those of
//! timm, except the classifier's.

use super::block::{Convolution, branch};
use super::choices::{Activation, Architecture, Residual};
use super::layer::{LayerKind, Stage};
use super::layer_list::{LayerList, LayerOutput};

/// Adds the layers of such a network after the input. Of `choices`, only block and groups apply; a test rejects rows with
/// others.
pub(super) fn expand(
    layers: &mut LayerList,
    pixels: LayerOutput,
    row: &Architecture,
    choices: &Residual,
    classes: usize,
) {
    let mut x = layers.conv("stem.conv", pixels, Convolution::new(7, row.base_channels).stride(2));
    layers.stage = Stage::Blocks(0);
    x = layers.same("stem.pool", LayerKind::MaxPool { kernel: 3, stride: 2 }, x);
    for (stage, &blocks) in row.blocks.iter().enumerate() {
        layers.stage = Stage::Blocks(stage);
        for index in 0..blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let branch = branch(choices, row.base_channels, stage, stride);
            x = block(layers, &format!("stages.{stage}.blocks.{index}"), x, &branch);
        }
    }
    layers.stage = Stage::Head;
    x = norm_relu(layers, "norm", x);
    let pooled = layers.same("avgpool", LayerKind::AveragePool { size: 1 }, x);
    layers.linear("fc", pooled, 1, classes); // timm's head.fc, a 1×1 convolution
}

/// `branch(x) + shortcut(x)`; a projection reads what the first convolution reads.
fn block(
    layers: &mut LayerList,
    name: &str,
    x: LayerOutput,
    branch: &[Convolution],
) -> LayerOutput {
    let first = norm_relu(layers, &format!("{name}.norm1"), x);
    let mut y = first;
    for (index, &to) in (1..).zip(branch) {
        if index > 1 {
            y = norm_relu(layers, &format!("{name}.norm{index}"), y);
        }
        y = layers.conv(&format!("{name}.conv{index}"), y, to);
    }
    let stride = branch.iter().map(|conv| conv.stride).product();
    let to = Convolution::new(1, y.channels).stride(stride);
    let shortcut = if to == Convolution::new(1, x.channels) {
        x
    } else {
        layers.conv(&format!("{name}.downsample.conv"), first, to)
    };
    layers.push(&format!("{name}.add"), LayerKind::Add, &[y, shortcut], y.channels)
}

fn norm_relu(layers: &mut LayerList, name: &str, x: LayerOutput) -> LayerOutput {
    let x = layers.norm(name, x);
    layers.same(&format!("{name}.relu"), LayerKind::Activation(Activation::Relu), x)
}
