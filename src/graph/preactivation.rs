//! ResNet v2: He et al. 2016, "Identity mappings in deep residual networks" (arXiv:1603.05027), Figure 1b.
//! Norm and ReLU come before each convolution, and the shortcut passes through neither. Names are those of
//! timm.

use super::block::{Convolution, branch};
use super::choices::{Activation, Architecture, Residual};
use super::layer::{LayerKind, Stage};
use super::layer_list::{LayerOutput, Walk};

/// Adds the layers of such a network after the input.
pub(super) fn expand(
    walk: &mut Walk,
    pixels: LayerOutput,
    row: &Architecture,
    choices: &Residual,
    classes: usize,
) {
    let mut x = walk.conv("stem.conv", pixels, Convolution::new(7, row.width).stride(2));
    walk.stage = Stage::Blocks(0);
    x = walk.same("stem.pool", LayerKind::MaxPool { kernel: 3, stride: 2 }, x);
    for (stage, &blocks) in row.blocks.iter().enumerate() {
        walk.stage = Stage::Blocks(stage);
        for index in 0..blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let branch = branch(choices, row.width, stage, stride);
            x = block(walk, &format!("stages.{stage}.blocks.{index}"), x, &branch);
        }
    }
    walk.stage = Stage::Head;
    x = norm_relu(walk, "norm", x);
    let pooled = walk.same("avgpool", LayerKind::AveragePool { size: 1 }, x);
    walk.linear("fc", pooled, 1, classes); // timm's head.fc, a 1×1 convolution
}

/// `branch(x) + shortcut(x)`; a projection reads what the first convolution reads.
fn block(walk: &mut Walk, name: &str, x: LayerOutput, branch: &[Convolution]) -> LayerOutput {
    let first = norm_relu(walk, &format!("{name}.norm1"), x);
    let mut y = first;
    for (index, &to) in (1..).zip(branch) {
        if index > 1 {
            y = norm_relu(walk, &format!("{name}.norm{index}"), y);
        }
        y = walk.conv(&format!("{name}.conv{index}"), y, to);
    }
    let stride = branch.iter().map(|conv| conv.stride).product();
    let to = Convolution::new(1, y.channels).stride(stride);
    let shortcut = if to == Convolution::new(1, x.channels) {
        x
    } else {
        walk.conv(&format!("{name}.downsample.conv"), first, to)
    };
    walk.push(&format!("{name}.add"), LayerKind::Add, &[y, shortcut], y.channels)
}

fn norm_relu(walk: &mut Walk, name: &str, x: LayerOutput) -> LayerOutput {
    let x = walk.norm(name, x);
    walk.same(&format!("{name}.relu"), LayerKind::Activation(Activation::Relu), x)
}
