//! The layers of a network.

use std::fmt;

use super::block::Convolution;
use super::choices::Activation;
use crate::weights::{Framework, TensorSpec};

/// One layer: its name, its operation and its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The part of the network it belongs to.
    pub stage: Stage,
    /// Its name in torchvision, or in timm if torchvision does not have such layers; its weights have this name.
    pub name: String,
    /// Its operation.
    pub kind: LayerKind,
    /// Indices in [`layers`](super::Network::layers) of the layers whose outputs it reads.
    pub inputs: Vec<usize>,
}

/// The operation of a layer. All values are float32 `[N, C, H, W]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// The input: RGB, normalised.
    Pixels,
    /// A convolution.
    Convolution {
        /// Input channels.
        from: usize,
        /// Output channels, kernel, stride, groups and bias.
        to: Convolution,
    },
    /// Batch norm with the statistics of training.
    BatchNorm {
        /// Number of channels.
        channels: usize,
        /// The framework whose epsilon it uses.
        framework: Framework,
    },
    /// Group norm: normalises each of 32 groups of channels, then applies each channel's scale and shift.
    GroupNorm {
        /// Number of channels.
        channels: usize,
    },
    /// A function of each element.
    Activation(Activation),
    /// `1 / (1 + exp(−x))`.
    Sigmoid,
    /// Maximum, padded with `(kernel − 1) / 2` on each side.
    MaxPool {
        /// Height and width of the window.
        kernel: usize,
        /// Step in both directions.
        stride: usize,
    },
    /// 2×2 average pool with stride 2; at an odd edge, the mean of the remaining pixels.
    HalvingPool,
    /// 2×2 average pool with stride 2; an odd last row or column is ignored.
    FloorPool,
    /// 3×3 binomial filter with stride 2 and mirrored border.
    Blur {
        /// Number of channels.
        channels: usize,
    },
    /// A convolution along the channels of `[N, C, 1, 1]`, without bias.
    AcrossChannels {
        /// Length of the kernel.
        kernel: usize,
    },
    /// Option A: every second row and column, `padding` zero channels before and after.
    ZeroPad {
        /// Input channels.
        from: usize,
        /// Number of zero channels before, and after.
        padding: usize,
    },
    /// Sum of the residual branch and the shortcut.
    Add,
    /// Multiplies each channel of the first input with a value of the second input.
    Scale,
    /// `PyTorch`'s adaptive average pooling to `size × size`; with size 1, global average pooling.
    AveragePool {
        /// Height and width of the output.
        size: usize,
    },
    /// A fully connected layer.
    Linear {
        /// Input channels.
        from: usize,
        /// Height and width of the input.
        window: usize,
        /// Number of outputs.
        to: usize,
    },
}

/// A part of the network, named as in the paper's Table 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// `conv1`: the stem; for VGG, the first stage.
    Stem,
    /// `conv2_x` and so on: a stage of blocks, counted from 0.
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
            | LayerKind::Activation(_)
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

/// The shape of a convolution's weights.
pub(super) fn kernel_shape(from: usize, to: Convolution) -> [usize; 4] {
    [to.channels, from / to.groups, to.kernel, to.kernel]
}
