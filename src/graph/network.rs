//! A row of the table, expanded to a flat list of named layers.
//!
//! This is the only place that expands a row. Counting, checking weights and emitting ONNX all read the same
//! list. Names are those of torchvision (`layer1.0.conv1`), so its weights can be used unchanged; of layers that torchvision
//! does not have, those of timm.

use super::choices::{Architecture, Family};
use super::layer::{Layer, LayerKind};
use super::layer_list::LayerList;
use super::{inverted, residual, vgg};
use crate::weights::TensorSpec;

/// A network as a list of layers, in order of execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The row it was expanded from.
    pub architecture: Architecture,
    /// Number of classes.
    pub classes: usize,
    /// Its layers; the first is the input, the last computes the logits.
    pub layers: Vec<Layer>,
}

impl Network {
    /// Expands a row into layers.
    #[must_use]
    pub fn expand(architecture: &Architecture, classes: usize) -> Self {
        let mut layers = LayerList::new();
        let pixels = layers.push("pixels", LayerKind::Pixels, &[], 3);
        match &architecture.family {
            Family::Residual(choices) => {
                residual::expand(&mut layers, pixels, architecture, choices, classes);
            }
            Family::Vgg(norm) => vgg::expand(&mut layers, pixels, architecture, *norm, classes),
            Family::Inverted(choices) => {
                inverted::expand(&mut layers, pixels, architecture, choices, classes);
            }
        }
        Self { architecture: *architecture, classes, layers: layers.into_layers() }
    }

    /// The tensors that it needs, in order of use.
    #[must_use]
    pub fn tensors(&self) -> Vec<TensorSpec> {
        self.layers.iter().flat_map(Layer::tensors).collect()
    }

    /// Whether the outputs of all layers are at least 1×1 for an input of this height and width.
    #[must_use]
    pub fn takes(&self, input: [u32; 2]) -> bool {
        self.output_sizes(input).iter().flatten().all(|&size| size > 0)
    }
}
