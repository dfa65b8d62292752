//! Residual and plain networks: a stem, stages of blocks, global average pooling and a linear layer.

use super::block::{Convolution, branch};
use super::choices::{
    Activation, Architecture, Attention, FirstStage, Normalization, Residual, Sampling, Shortcut,
    Stem,
};
use super::layer::{LayerKind, Stage};
use super::layer_list::{LayerList, LayerOutput};
use super::preactivation;

/// Adds the layers of a residual network of `choices` after the input.
pub(super) fn expand(
    layers: &mut LayerList,
    pixels: LayerOutput,
    row: &Architecture,
    choices: &Residual,
    classes: usize,
) {
    if choices.normalization == Normalization::PreActivation {
        return preactivation::expand(layers, pixels, row, choices, classes);
    }
    let mut x = stem(layers, pixels, row.base_channels, choices);
    for (stage, &blocks) in row.blocks.iter().enumerate() {
        layers.stage = Stage::Blocks(stage);
        for index in 0..blocks {
            let is_halved = stage > 0 || choices.first_stage == FirstStage::Halved;
            let stride = if is_halved && index == 0 { 2 } else { 1 };
            let branch = branch(choices, row.base_channels, stage, stride);
            x = block(layers, &format!("layer{}.{index}", stage + 1), x, &branch, choices);
        }
    }
    layers.stage = Stage::Head;
    let pooled = layers.same("avgpool", LayerKind::AveragePool { size: 1 }, x);
    layers.linear("fc", pooled, 1, classes);
}

fn stem(
    layers: &mut LayerList,
    pixels: LayerOutput,
    base_channels: usize,
    choices: &Residual,
) -> LayerOutput {
    let mut x = pixels;
    for (conv, norm, to) in stem_convolutions(base_channels, choices.stem) {
        x = layers.conv(conv, x, to);
        x = normalize(layers, norm, x, choices.normalization);
        x = activate(layers, norm, x, choices.activation);
    }
    match choices.stem {
        Stem::Conv7x7MaxPool | Stem::Deep3x3MaxPool(_) | Stem::Conv3x3MaxPool => {
            layers.stage = Stage::Blocks(0); // Table 1 counts the pool with conv2_x
            let pool = |stride| LayerKind::MaxPool { kernel: 3, stride };
            match choices.sampling {
                Sampling::Strided => layers.same("maxpool", pool(2), x),
                Sampling::Averaged => layers.same("maxpool", LayerKind::FloorPool, x),
                Sampling::Blurred => {
                    x = layers.same("maxpool.0", pool(1), x);
                    layers.same("maxpool.1", LayerKind::Blur { channels: x.channels }, x)
                }
            }
        }
        Stem::Conv3x3 | Stem::Deep3x3(_) => x,
    }
}

/// The convolutions of the stem, with their names and the names of their norms. The names of a deep stem are
/// those of timm.
fn stem_convolutions(
    base_channels: usize,
    stem: Stem,
) -> Vec<(&'static str, &'static str, Convolution)> {
    let conv3x3 = |channels| Convolution::new(3, channels);
    let deep = |[first, second, third]: [usize; 3]| {
        vec![
            ("conv1.0", "conv1.1", conv3x3(first).stride(2)),
            ("conv1.3", "conv1.4", conv3x3(second)),
            ("conv1.6", "bn1", conv3x3(third)),
        ]
    };
    match stem {
        Stem::Conv7x7MaxPool => {
            vec![("conv1", "bn1", Convolution::new(7, base_channels).stride(2))]
        }
        Stem::Conv3x3 | Stem::Conv3x3MaxPool => vec![("conv1", "bn1", conv3x3(base_channels))],
        Stem::Deep3x3MaxPool(channels) => deep(channels),
        Stem::Deep3x3(channels) => {
            let halving = ("maxpool.0", "maxpool.1", conv3x3(channels[2]).stride(2));
            [deep(channels), vec![halving]].concat()
        }
    }
}

/// `relu(branch(x) + shortcut(x))`: He et al. 2015, equations 1 and 2. Without a shortcut,
/// `relu(branch(x))`. If the row has another activation, it replaces the last ReLU.
fn block(
    layers: &mut LayerList,
    name: &str,
    x: LayerOutput,
    branch: &[Convolution],
    choices: &Residual,
) -> LayerOutput {
    let mut y = x;
    for (index, &to) in (1..).zip(branch) {
        let [conv, norm] = ["conv", "bn"].map(|part| format!("{name}.{part}{index}"));
        let sampled = to.kernel == 3 && to.stride > 1 && choices.sampling != Sampling::Strided;
        let to = if sampled { to.stride(1) } else { to };
        y = layers.conv(&conv, y, to);
        y = normalize(layers, &norm, y, choices.normalization);
        if index < branch.len() {
            let relu = LayerKind::Activation(Activation::Relu);
            y = layers.same(&format!("{name}.relu{index}"), relu, y);
        }
        if sampled {
            let pool = match choices.sampling {
                Sampling::Blurred => LayerKind::Blur { channels: y.channels },
                Sampling::Strided | Sampling::Averaged => LayerKind::FloorPool,
            };
            y = layers.same(&format!("{name}.aa"), pool, y);
        }
    }
    let se = format!("{name}.se");
    y = match choices.attention {
        Attention::None => y,
        Attention::SqueezeExcitation(times) => squeeze_excitation(layers, &se, y, times),
        Attention::EfficientChannel => efficient_channel(layers, &se, y),
    };
    let stride = branch.iter().map(|conv| conv.stride).product();
    let to = Convolution::new(1, y.channels).stride(stride);
    if let Some(x) = shortcut(layers, name, x, to, choices) {
        y = layers.push(&format!("{name}.add"), LayerKind::Add, &[y, x], y.channels);
    }
    activate(layers, name, y, choices.activation)
}

/// Hu et al. 2018, Figure 3, with timm's names and minimum of 8 channels.
fn squeeze_excitation(
    layers: &mut LayerList,
    name: &str,
    x: LayerOutput,
    times: usize,
) -> LayerOutput {
    let named = |part: &str| format!("{name}.{part}");
    let conv1x1 = |channels| Convolution::new(1, channels).biased();
    let pooled = layers.same(&named("pool"), LayerKind::AveragePool { size: 1 }, x);
    let squeezed = layers.conv(&named("fc1"), pooled, conv1x1((x.channels / times).max(8)));
    let relu = LayerKind::Activation(Activation::Relu);
    let squeezed = layers.same(&named("act"), relu, squeezed);
    let excited = layers.conv(&named("fc2"), squeezed, conv1x1(x.channels));
    let factors = layers.same(&named("gate"), LayerKind::Sigmoid, excited);
    layers.push(&named("scale"), LayerKind::Scale, &[x, factors], x.channels)
}

/// Wang et al. 2019, Figure 2 and equation 12, with timm's names.
fn efficient_channel(layers: &mut LayerList, name: &str, x: LayerOutput) -> LayerOutput {
    let named = |part: &str| format!("{name}.{part}");
    let pooled = layers.same(&named("pool"), LayerKind::AveragePool { size: 1 }, x);
    // `(log2(channels) + 1) / 2`, rounded down, then up to an odd number.
    let length = (x.channels.ilog2() as usize).div_ceil(2);
    let kernel = (length | 1).max(3);
    let excited = layers.same(&named("conv"), LayerKind::AcrossChannels { kernel }, pooled);
    let factors = layers.same(&named("gate"), LayerKind::Sigmoid, excited);
    layers.push(&named("scale"), LayerKind::Scale, &[x, factors], x.channels)
}

/// The shortcut of a block: the input, converted to the shape of the branch's output if it differs. `to` is
/// the convolution that converts it.
fn shortcut(
    layers: &mut LayerList,
    name: &str,
    x: LayerOutput,
    to: Convolution,
    choices: &Residual,
) -> Option<LayerOutput> {
    let keeps_shape = to == Convolution::new(1, x.channels);
    Some(match choices.shortcut {
        Shortcut::None => return None,
        Shortcut::Projection | Shortcut::PooledProjection | Shortcut::ZeroPad if keeps_shape => x,
        Shortcut::Projection | Shortcut::ProjectionAlways => {
            let [conv, norm] = [0, 1].map(|index| format!("{name}.downsample.{index}"));
            let x = layers.conv(&conv, x, to);
            normalize(layers, &norm, x, choices.normalization)
        }
        Shortcut::PooledProjection => {
            let [pool, conv, norm] = [0, 1, 2].map(|index| format!("{name}.downsample.{index}"));
            let x = match to.stride {
                1 => x,
                _ => layers.same(&pool, LayerKind::HalvingPool, x),
            };
            let x = layers.conv(&conv, x, to.stride(1));
            normalize(layers, &norm, x, choices.normalization)
        }
        Shortcut::ZeroPad => {
            let padding = (to.channels - x.channels) / 2;
            let kind = LayerKind::ZeroPad { from: x.channels, padding };
            layers.push(&format!("{name}.shortcut"), kind, &[x], to.channels)
        }
    })
}

/// The function after a part of the network called `name`.
fn activate(
    layers: &mut LayerList,
    name: &str,
    x: LayerOutput,
    function: Activation,
) -> LayerOutput {
    layers.same(&format!("{name}.{}", function.name()), LayerKind::Activation(function), x)
}

/// The norm after a convolution.
fn normalize(layers: &mut LayerList, name: &str, x: LayerOutput, by: Normalization) -> LayerOutput {
    match by {
        Normalization::Batch | Normalization::PreActivation => layers.norm(name, x),
        Normalization::Group => layers.same(name, LayerKind::GroupNorm { channels: x.channels }, x),
    }
}
