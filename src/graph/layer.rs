//! What a network's list is made of.

use std::fmt;

use super::block::Convolution;
use crate::weights::TensorSpec;

/// One layer: what it is called, what it does, and what it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The part of the network it belongs to.
    pub stage: Stage,
    /// torchvision's name, under which its weights are found.
    pub name: String,
    /// What it does.
    pub kind: LayerKind,
    /// Positions in [`layers`](super::Network::layers) of the layers whose output it reads.
    pub inputs: Vec<usize>,
}

/// What a layer does. Everything is `[N, C, H, W]`, float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// The picture: RGB, normalised.
    Pixels,
    /// A convolution without bias, padded with `kernel / 2` zeros on each side.
    Convolution {
        /// Channels that go in.
        from: usize,
        /// Channels that come out, kernel and stride.
        to: Convolution,
    },
    /// Batch norm with the statistics of training, right after a convolution.
    BatchNorm {
        /// Channels in and out.
        channels: usize,
    },
    /// `max(x, 0)`.
    Relu,
    /// 3×3 maximum with stride 2 and padding 1.
    MaxPool,
    /// 2×2 mean with stride 2; at an odd edge, of the pixels that there are.
    HalvingPool,
    /// Option A: every second row and column, `padding` zero channels before and after.
    ZeroPad {
        /// Channels that go in.
        from: usize,
        /// Zero channels on each of the two sides.
        padding: usize,
    },
    /// Sum of the residual branch and the shortcut.
    Add,
    /// Mean over height and width, to `[N, C, 1, 1]`.
    AveragePool,
    /// The classifier, to `[N, classes]`.
    Linear {
        /// Channels that go in.
        from: usize,
        /// Classes that come out.
        to: usize,
    },
}

/// A part of the network, named as in the paper's Table 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// `conv1`: the first convolution.
    Stem,
    /// `conv2_x` and so on: the blocks of one size, counted from 0.
    Blocks(usize),
    /// Average pool and classifier.
    Head,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stem => f.write_str("conv1"),
            Self::Blocks(index) => write!(f, "conv{}_x", index + 2),
            Self::Head => f.write_str("head"),
        }
    }
}

impl Layer {
    /// The tensors this layer reads from the weights.
    pub(super) fn tensors(&self) -> Vec<TensorSpec> {
        let tensor = |suffix: &str, shape: &[usize]| TensorSpec {
            name: format!("{}.{suffix}", self.name),
            shape: shape.to_vec(),
        };
        match self.kind {
            LayerKind::Convolution { from, to } => {
                vec![tensor("weight", &kernel_shape(from, to))]
            }
            LayerKind::BatchNorm { channels } => ["weight", "bias", "running_mean", "running_var"]
                .map(|vector| tensor(vector, &[channels]))
                .into(),
            LayerKind::Linear { from, to } => {
                vec![tensor("weight", &[to, from]), tensor("bias", &[to])]
            }
            LayerKind::Pixels
            | LayerKind::Relu
            | LayerKind::MaxPool
            | LayerKind::HalvingPool
            | LayerKind::ZeroPad { .. }
            | LayerKind::Add
            | LayerKind::AveragePool => Vec::new(),
        }
    }
}

/// The shape of a convolution's weights: each group reads its share of the channels.
pub(super) fn kernel_shape(from: usize, to: Convolution) -> [usize; 4] {
    [to.channels, from / to.groups, to.kernel, to.kernel]
}
