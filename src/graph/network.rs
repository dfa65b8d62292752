//! A row of the table, expanded to a flat list of named layers.
//!
//! This is the only place that expands a row. Counting, checking weights and emitting ONNX all
//! read the same list. Names are torchvision's (`layer1.0.conv1`), so its weights fit as they are.

use super::arch::{Architecture, Shortcut, Stem};
use super::block::{Convolution, residual};
use super::layer::{Layer, LayerKind, Stage};
use crate::weights::TensorSpec;

/// A network as a list of layers, in order of execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The row it was expanded from.
    pub architecture: Architecture,
    /// Number of classes it tells apart.
    pub classes: usize,
    /// Its layers; the first is the picture, the last gives the logits.
    pub layers: Vec<Layer>,
}

impl Network {
    /// Expands a row into layers.
    #[must_use]
    pub fn expand(architecture: &Architecture, classes: usize) -> Self {
        let mut walk = Walk { stage: Stage::Stem, layers: Vec::new() };

        let mut x = walk.stem(architecture);
        for (stage, &blocks) in architecture.blocks.iter().enumerate() {
            walk.stage = Stage::Blocks(stage);
            for block in 0..blocks {
                // The stem has made the first stage's size; each later stage halves it once.
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let branch = residual(architecture, stage, stride);
                let name = format!("layer{}.{block}", stage + 1);
                x = walk.block(&name, x, &branch, architecture.shortcut);
            }
        }
        walk.head(x, classes);

        Self { architecture: *architecture, classes, layers: walk.layers }
    }

    /// The tensors its weights must have, in order of use.
    #[must_use]
    pub fn tensors(&self) -> Vec<TensorSpec> {
        self.layers.iter().flat_map(Layer::tensors).collect()
    }
}

/// Names of the stem's convolutions and batch norms; a deep stem has timm's.
fn stem_convolutions(row: &Architecture) -> Vec<(&'static str, &'static str, Convolution)> {
    let conv3x3 = |channels| Convolution::new(3, channels);
    match row.stem {
        Stem::Conv7x7MaxPool => vec![("conv1", "bn1", Convolution::new(7, row.width).stride(2))],
        Stem::Conv3x3 => vec![("conv1", "bn1", conv3x3(row.width))],
        Stem::Deep3x3MaxPool => vec![
            ("conv1.0", "conv1.1", conv3x3(row.width / 2).stride(2)),
            ("conv1.3", "conv1.4", conv3x3(row.width / 2)),
            ("conv1.6", "bn1", conv3x3(row.width)),
        ],
    }
}

/// The list while it grows.
struct Walk {
    stage: Stage,
    layers: Vec<Layer>,
}

/// What a layer gives to the next ones.
#[derive(Clone, Copy)]
struct Output {
    layer: usize,
    channels: usize,
}

impl Walk {
    fn stem(&mut self, architecture: &Architecture) -> Output {
        let mut x = self.push("pixels", LayerKind::Pixels, &[], 3);
        for (conv, norm, to) in stem_convolutions(architecture) {
            x = self.conv_norm(conv, norm, x, to);
            x = self.same(&format!("{norm}.relu"), LayerKind::Relu, x);
        }
        match architecture.stem {
            Stem::Conv7x7MaxPool | Stem::Deep3x3MaxPool => {
                self.stage = Stage::Blocks(0); // Table 1 counts the pool with conv2_x
                self.same("maxpool", LayerKind::MaxPool, x)
            }
            Stem::Conv3x3 => x,
        }
    }

    /// `relu(branch(x) + shortcut(x))`: He et al. 2015, equations 1 and 2. Without a shortcut,
    /// `relu(branch(x))`.
    fn block(&mut self, name: &str, x: Output, branch: &[Convolution], by: Shortcut) -> Output {
        let mut y = x;
        for (index, &to) in (1..).zip(branch) {
            if index > 1 {
                y = self.same(&format!("{name}.relu{}", index - 1), LayerKind::Relu, y);
            }
            let [conv, norm] = ["conv", "bn"].map(|part| format!("{name}.{part}{index}"));
            y = self.conv_norm(&conv, &norm, y, to);
        }
        let stride = branch.iter().map(|conv| conv.stride).product();
        if let Some(x) = self.shortcut(name, x, Convolution::new(1, y.channels).stride(stride), by)
        {
            y = self.push(&format!("{name}.add"), LayerKind::Add, &[y, x], y.channels);
        }
        self.same(&format!("{name}.relu"), LayerKind::Relu, y)
    }

    /// What the row adds to a block's branch: the input, in the shape that `to` would give it.
    fn shortcut(&mut self, name: &str, x: Output, to: Convolution, by: Shortcut) -> Option<Output> {
        let keeps_shape = to == Convolution::new(1, x.channels);
        Some(match by {
            Shortcut::None => return None,
            Shortcut::Projection | Shortcut::PooledProjection | Shortcut::ZeroPad
                if keeps_shape =>
            {
                x
            }
            Shortcut::Projection | Shortcut::ProjectionAlways => {
                let [conv, norm] = [0, 1].map(|index| format!("{name}.downsample.{index}"));
                self.conv_norm(&conv, &norm, x, to)
            }
            Shortcut::PooledProjection => {
                let [pool, conv, norm] =
                    [0, 1, 2].map(|index| format!("{name}.downsample.{index}"));
                let x = match to.stride {
                    1 => x,
                    _ => self.same(&pool, LayerKind::HalvingPool, x),
                };
                self.conv_norm(&conv, &norm, x, to.stride(1))
            }
            Shortcut::ZeroPad => {
                let padding = (to.channels - x.channels) / 2;
                let kind = LayerKind::ZeroPad { from: x.channels, padding };
                self.push(&format!("{name}.shortcut"), kind, &[x], to.channels)
            }
        })
    }

    fn head(&mut self, x: Output, classes: usize) {
        self.stage = Stage::Head;
        let pooled = self.same("avgpool", LayerKind::AveragePool, x);
        let linear = LayerKind::Linear { from: x.channels, to: classes };
        self.push("fc", linear, &[pooled], classes);
    }

    fn conv_norm(&mut self, conv: &str, norm: &str, x: Output, to: Convolution) -> Output {
        let channels = to.channels;
        let convolution = LayerKind::Convolution { from: x.channels, to };
        let x = self.push(conv, convolution, &[x], channels);
        self.same(norm, LayerKind::BatchNorm { channels }, x)
    }

    /// A layer with as many channels out as in.
    fn same(&mut self, name: &str, kind: LayerKind, x: Output) -> Output {
        self.push(name, kind, &[x], x.channels)
    }

    fn push(&mut self, name: &str, kind: LayerKind, from: &[Output], channels: usize) -> Output {
        let inputs = from.iter().map(|output| output.layer).collect();
        self.layers.push(Layer { stage: self.stage, name: name.to_owned(), kind, inputs });
        Output { layer: self.layers.len() - 1, channels }
    }
}
