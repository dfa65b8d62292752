//! The layers of a network.

use std::fmt;

use super::block::Convolution;
use crate::weights::{Framework, TensorSpec};

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
    /// A convolution.
    Convolution {
        /// Channels that go in.
        from: usize,
        /// Channels that come out, kernel, stride, groups and bias.
        to: Convolution,
    },
    /// Batch norm with the statistics of training.
    BatchNorm {
        /// Channels in and out.
        channels: usize,
        /// Whose epsilon it has.
        framework: Framework,
    },
    /// Group norm: each of 32 groups of channels gets mean 0 and variance 1, then each channel its scale
    /// and shift.
    GroupNorm {
        /// Channels in and out.
        channels: usize,
    },
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `1 / (1 + exp(−x))`.
    Sigmoid,
    /// Maximum, padded with `(kernel − 1) / 2` on each side.
    MaxPool {
        /// Height and width of the window.
        kernel: usize,
        /// Step in both directions.
        stride: usize,
    },
    /// 2×2 mean with stride 2; at an odd edge, of the pixels that there are.
    HalvingPool,
    /// 2×2 mean with stride 2; an odd last row or column is left out.
    FloorPool,
    /// 3×3 binomial filter with stride 2, the border mirrored.
    Blur {
        /// Channels in and out.
        channels: usize,
    },
    /// A convolution along the channels, of `[N, C, 1, 1]`, without bias: one kernel for all.
    AcrossChannels {
        /// Length of the kernel.
        kernel: usize,
    },
    /// Option A: every second row and column, `padding` zero channels before and after.
    ZeroPad {
        /// Channels that go in.
        from: usize,
        /// Zero channels on each of the two sides.
        padding: usize,
    },
    /// Sum of the residual branch and the shortcut.
    Add,
    /// Each channel of the first input times the second's, which has one value per channel.
    Scale,
    /// Means over `size × size` windows that cover the map evenly, overlapping where it does not
    /// divide (`PyTorch`'s adaptive pooling); of size 1, over height and width.
    AveragePool {
        /// Height and width of what comes out.
        size: usize,
    },
    /// Every output reads every input.
    Linear {
        /// Channels that go in.
        from: usize,
        /// Height and width of what goes in.
        window: usize,
        /// Channels that come out, of one pixel.
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
                let bias = to.bias.then(|| tensor("bias", &[to.channels]));
                let weight = tensor("weight", &kernel_shape(from, to));
                [weight].into_iter().chain(bias).collect()
            }
            LayerKind::BatchNorm { channels, .. } => {
                ["weight", "bias", "running_mean", "running_var"]
                    .map(|vector| tensor(vector, &[channels]))
                    .into()
            }
            LayerKind::GroupNorm { channels } => {
                ["weight", "bias"].map(|vector| tensor(vector, &[channels])).into()
            }
            LayerKind::AcrossChannels { kernel } => vec![tensor("weight", &[1, 1, kernel])],
            LayerKind::Linear { from, window, to } => {
                vec![tensor("weight", &[to, from * window * window]), tensor("bias", &[to])]
            }
            LayerKind::Pixels
            | LayerKind::Relu
            | LayerKind::Relu6
            | LayerKind::Sigmoid
            | LayerKind::MaxPool { .. }
            | LayerKind::HalvingPool
            | LayerKind::FloorPool
            | LayerKind::Blur { .. }
            | LayerKind::ZeroPad { .. }
            | LayerKind::Add
            | LayerKind::Scale
            | LayerKind::AveragePool { .. } => Vec::new(),
        }
    }
}

/// The shape of a convolution's weights: each group reads its share of the channels.
pub(super) fn kernel_shape(from: usize, to: Convolution) -> [usize; 4] {
    [to.channels, from / to.groups, to.kernel, to.kernel]
}
