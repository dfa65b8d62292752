//! A row of the table, expanded to a flat list of named layers.
//!
//! This is the only place that expands a row. Counting, checking weights and emitting ONNX all
//! read the same list. Names are torchvision's (`layer1.0.conv1`), so its weights fit as they are.

use super::block::Convolution;
use super::choices::{Architecture, Family};
use super::layer::{Layer, LayerKind, Stage};
use super::{inverted, residual, vgg};
use crate::weights::{Framework, TensorSpec};

/// A network as a list of layers, in order of execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The row it was expanded from.
    pub architecture: Architecture,
    /// Number of classes.
    pub classes: usize,
    /// Its layers; the first is the picture, the last gives the logits.
    pub layers: Vec<Layer>,
}

impl Network {
    /// Expands a row into layers.
    #[must_use]
    pub fn expand(architecture: &Architecture, classes: usize) -> Self {
        let mut walk = Walk { stage: Stage::Stem, layers: Vec::new() };
        let pixels = walk.push("pixels", LayerKind::Pixels, &[], 3);
        match &architecture.family {
            Family::Residual(choices) => {
                residual::expand(&mut walk, pixels, architecture, choices, classes);
            }
            Family::Vgg(norm) => vgg::expand(&mut walk, pixels, architecture, *norm, classes),
            Family::Inverted(choices) => {
                inverted::expand(&mut walk, pixels, architecture, choices, classes);
            }
        }
        Self { architecture: *architecture, classes, layers: walk.layers }
    }

    /// The tensors its weights must have, in order of use.
    #[must_use]
    pub fn tensors(&self) -> Vec<TensorSpec> {
        self.layers.iter().flat_map(Layer::tensors).collect()
    }

    /// Whether something of a picture of `input` height and width is left after every layer.
    #[must_use]
    pub fn takes(&self, input: [u32; 2]) -> bool {
        self.output_sizes(input).iter().flatten().all(|&size| size > 0)
    }
}

/// The list while it grows.
pub(super) struct Walk {
    /// The part of the network that grows now.
    pub(super) stage: Stage,
    layers: Vec<Layer>,
}

/// What a layer gives to the next ones.
#[derive(Clone, Copy)]
pub(super) struct Output {
    layer: usize,
    pub(super) channels: usize,
}

impl Walk {
    pub(super) fn conv(&mut self, name: &str, x: Output, to: Convolution) -> Output {
        self.push(name, LayerKind::Convolution { from: x.channels, to }, &[x], to.channels)
    }

    pub(super) fn norm(&mut self, name: &str, x: Output) -> Output {
        self.norm_of(name, x, Framework::PyTorch)
    }

    pub(super) fn norm_of(&mut self, name: &str, x: Output, framework: Framework) -> Output {
        self.same(name, LayerKind::BatchNorm { channels: x.channels, framework }, x)
    }

    pub(super) fn linear(&mut self, name: &str, x: Output, window: usize, to: usize) -> Output {
        self.push(name, LayerKind::Linear { from: x.channels, window, to }, &[x], to)
    }

    /// A layer with as many channels out as in.
    pub(super) fn same(&mut self, name: &str, kind: LayerKind, x: Output) -> Output {
        self.push(name, kind, &[x], x.channels)
    }

    pub(super) fn push(
        &mut self,
        name: &str,
        kind: LayerKind,
        from: &[Output],
        channels: usize,
    ) -> Output {
        let inputs = from.iter().map(|output| output.layer).collect();
        self.layers.push(Layer { stage: self.stage, name: name.to_owned(), kind, inputs });
        Output { layer: self.layers.len() - 1, channels }
    }
}
