//! Builds the list of layers of a network.

use super::block::Convolution;
use super::layer::{Layer, LayerKind, Stage};
use crate::weights::Framework;

/// A list of layers, each with the layers that it reads.
pub(super) struct LayerList {
    /// The part of the network that new layers belong to.
    pub(super) stage: Stage,
    layers: Vec<Layer>,
}

/// The output of a layer, which later layers read.
#[derive(Clone, Copy)]
pub(super) struct LayerOutput {
    layer: usize,
    pub(super) channels: usize,
}

impl LayerList {
    pub(super) fn new() -> Self {
        Self { stage: Stage::Stem, layers: Vec::new() }
    }

    pub(super) fn into_layers(self) -> Vec<Layer> {
        self.layers
    }

    pub(super) fn conv(&mut self, name: &str, x: LayerOutput, to: Convolution) -> LayerOutput {
        self.push(name, LayerKind::Convolution { from: x.channels, to }, &[x], to.channels)
    }

    pub(super) fn norm(&mut self, name: &str, x: LayerOutput) -> LayerOutput {
        self.norm_of(name, x, Framework::PyTorch)
    }

    pub(super) fn norm_of(
        &mut self,
        name: &str,
        x: LayerOutput,
        framework: Framework,
    ) -> LayerOutput {
        self.same(name, LayerKind::BatchNorm { channels: x.channels, framework }, x)
    }

    pub(super) fn linear(
        &mut self,
        name: &str,
        x: LayerOutput,
        window: usize,
        to: usize,
    ) -> LayerOutput {
        self.push(name, LayerKind::Linear { from: x.channels, window, to }, &[x], to)
    }

    /// Adds a layer that keeps the number of channels.
    pub(super) fn same(&mut self, name: &str, kind: LayerKind, x: LayerOutput) -> LayerOutput {
        self.push(name, kind, &[x], x.channels)
    }

    pub(super) fn push(
        &mut self,
        name: &str,
        kind: LayerKind,
        from: &[LayerOutput],
        channels: usize,
    ) -> LayerOutput {
        let inputs = from.iter().map(|output| output.layer).collect();
        self.layers.push(Layer { stage: self.stage, name: name.to_owned(), kind, inputs });
        LayerOutput { layer: self.layers.len() - 1, channels }
    }
}
