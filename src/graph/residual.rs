//! Residual nets and their plain counterparts: a stem, stages of blocks, the mean, one linear layer.

use super::arch::{Architecture, Attention, Residual, Shortcut, Stem};
use super::block::{Convolution, branch};
use super::layer::{LayerKind, Stage};
use super::network::{Output, Walk};

/// Adds the layers of a residual net of `choices`, after the picture.
pub(super) fn expand(
    walk: &mut Walk,
    pixels: Output,
    row: &Architecture,
    choices: &Residual,
    classes: usize,
) {
    let mut x = stem(walk, pixels, row.width, choices.stem);
    for (stage, &blocks) in row.blocks.iter().enumerate() {
        walk.stage = Stage::Blocks(stage);
        for index in 0..blocks {
            // The stem has made the first stage's size; each later stage halves it once.
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let branch = branch(choices, row.width, stage, stride);
            x = block(walk, &format!("layer{}.{index}", stage + 1), x, &branch, choices);
        }
    }
    walk.stage = Stage::Head;
    let pooled = walk.same("avgpool", LayerKind::AveragePool { size: 1 }, x);
    walk.linear("fc", pooled, 1, classes);
}

fn stem(walk: &mut Walk, pixels: Output, width: usize, stem: Stem) -> Output {
    let mut x = pixels;
    for (conv, norm, to) in stem_convolutions(width, stem) {
        x = conv_norm(walk, conv, norm, x, to);
        x = walk.same(&format!("{norm}.relu"), LayerKind::Relu, x);
    }
    match stem {
        Stem::Conv7x7MaxPool | Stem::Deep3x3MaxPool(_) => {
            walk.stage = Stage::Blocks(0); // Table 1 counts the pool with conv2_x
            walk.same("maxpool", LayerKind::MaxPool { kernel: 3 }, x)
        }
        Stem::Conv3x3 => x,
    }
}

/// Names of the stem's convolutions and batch norms; a deep stem has timm's.
fn stem_convolutions(width: usize, stem: Stem) -> Vec<(&'static str, &'static str, Convolution)> {
    let conv3x3 = |channels| Convolution::new(3, channels);
    match stem {
        Stem::Conv7x7MaxPool => vec![("conv1", "bn1", Convolution::new(7, width).stride(2))],
        Stem::Conv3x3 => vec![("conv1", "bn1", conv3x3(width))],
        Stem::Deep3x3MaxPool([first, second]) => vec![
            ("conv1.0", "conv1.1", conv3x3(first).stride(2)),
            ("conv1.3", "conv1.4", conv3x3(second)),
            ("conv1.6", "bn1", conv3x3(width)),
        ],
    }
}

/// `relu(branch(x) + shortcut(x))`: He et al. 2015, equations 1 and 2. Without a shortcut,
/// `relu(branch(x))`.
fn block(
    walk: &mut Walk,
    name: &str,
    x: Output,
    branch: &[Convolution],
    choices: &Residual,
) -> Output {
    let mut y = x;
    for (index, &to) in (1..).zip(branch) {
        if index > 1 {
            y = walk.same(&format!("{name}.relu{}", index - 1), LayerKind::Relu, y);
        }
        let [conv, norm] = ["conv", "bn"].map(|part| format!("{name}.{part}{index}"));
        y = conv_norm(walk, &conv, &norm, y, to);
    }
    if choices.attention == Attention::SqueezeExcitation {
        y = squeeze_excitation(walk, &format!("{name}.se"), y);
    }
    let stride = branch.iter().map(|conv| conv.stride).product();
    let to = Convolution::new(1, y.channels).stride(stride);
    if let Some(x) = shortcut(walk, name, x, to, choices.shortcut) {
        y = walk.push(&format!("{name}.add"), LayerKind::Add, &[y, x], y.channels);
    }
    walk.same(&format!("{name}.relu"), LayerKind::Relu, y)
}

/// Hu et al. 2018, Figure 3, with timm's names and its least width of 8.
fn squeeze_excitation(walk: &mut Walk, name: &str, x: Output) -> Output {
    let named = |part: &str| format!("{name}.{part}");
    let conv1x1 = |channels| Convolution::new(1, channels).biased();
    let pooled = walk.same(&named("pool"), LayerKind::AveragePool { size: 1 }, x);
    let squeezed = walk.conv(&named("fc1"), pooled, conv1x1((x.channels / 16).max(8)));
    let squeezed = walk.same(&named("act"), LayerKind::Relu, squeezed);
    let excited = walk.conv(&named("fc2"), squeezed, conv1x1(x.channels));
    let factors = walk.same(&named("gate"), LayerKind::Sigmoid, excited);
    walk.push(&named("scale"), LayerKind::Scale, &[x, factors], x.channels)
}

/// What the row adds to a block's branch: the input, in the shape that `to` would give it.
fn shortcut(
    walk: &mut Walk,
    name: &str,
    x: Output,
    to: Convolution,
    by: Shortcut,
) -> Option<Output> {
    let keeps_shape = to == Convolution::new(1, x.channels);
    Some(match by {
        Shortcut::None => return None,
        Shortcut::Projection | Shortcut::PooledProjection | Shortcut::ZeroPad if keeps_shape => x,
        Shortcut::Projection | Shortcut::ProjectionAlways => {
            let [conv, norm] = [0, 1].map(|index| format!("{name}.downsample.{index}"));
            conv_norm(walk, &conv, &norm, x, to)
        }
        Shortcut::PooledProjection => {
            let [pool, conv, norm] = [0, 1, 2].map(|index| format!("{name}.downsample.{index}"));
            let x = match to.stride {
                1 => x,
                _ => walk.same(&pool, LayerKind::HalvingPool, x),
            };
            conv_norm(walk, &conv, &norm, x, to.stride(1))
        }
        Shortcut::ZeroPad => {
            let padding = (to.channels - x.channels) / 2;
            let kind = LayerKind::ZeroPad { from: x.channels, padding };
            walk.push(&format!("{name}.shortcut"), kind, &[x], to.channels)
        }
    })
}

fn conv_norm(walk: &mut Walk, conv: &str, norm: &str, x: Output, to: Convolution) -> Output {
    let x = walk.conv(conv, x, to);
    walk.norm(norm, x)
}
