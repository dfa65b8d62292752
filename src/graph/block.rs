//! Convolutions, and those of the residual branch of a block: He et al. 2015, Figure 5.

use super::choices::{Block, Residual, Stride};
use crate::weights::Framework;

/// A convolution with zero padding, so that only its stride reduces the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Output channels.
    pub channels: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Step in both directions.
    pub stride: usize,
    /// Number of groups of input and output channels.
    pub groups: usize,
    /// Whether it has a bias.
    pub bias: bool,
    /// The framework whose padding it uses.
    pub padding: Framework,
}

impl Convolution {
    /// A `kernel`×`kernel` convolution to `channels`, with stride 1, one group and no bias.
    #[must_use]
    pub const fn new(kernel: usize, channels: usize) -> Self {
        let padding = Framework::PyTorch;
        Self { channels, kernel, stride: 1, groups: 1, bias: false, padding }
    }

    /// The same convolution with this stride.
    #[must_use]
    pub const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// The same convolution in this many groups.
    #[must_use]
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// The same convolution with a bias.
    #[must_use]
    pub const fn biased(self) -> Self {
        Self { bias: true, ..self }
    }

    /// The same convolution with the padding of `framework`.
    #[must_use]
    pub const fn padded_as_in(self, framework: Framework) -> Self {
        Self { padding: framework, ..self }
    }

    /// Number of zeros before and after each row or column of `size` pixels.
    ///
    /// `TensorFlow`'s `SAME` adds as many zeros as an output of `⌈size / stride⌉` pixels needs. If their
    /// number is odd, one more is added after.
    #[must_use]
    pub fn zeros(&self, size: usize) -> [usize; 2] {
        match self.padding {
            Framework::PyTorch => [self.kernel / 2; 2],
            Framework::TensorFlow => {
                let read = (size.div_ceil(self.stride) - 1) * self.stride + self.kernel;
                let zeros = read.saturating_sub(size);
                [zeros / 2, zeros.div_ceil(2)]
            }
        }
    }
}

/// The convolutions of a block's residual branch, first to last, without norms.
///
/// `base_channels` are those of the row, `stage` counts from 0, and `stride` is that of the whole
/// block.
#[must_use]
pub fn branch(
    choices: &Residual,
    base_channels: usize,
    stage: usize,
    stride: usize,
) -> Vec<Convolution> {
    let groups = choices.groups;
    let inner = (groups.count * groups.channels) << stage;
    let outer = (4 * base_channels) << stage;
    let reduce = Convolution::new(1, inner);
    let conv3x3 = Convolution::new(3, inner).groups(groups.count);
    let restore = Convolution::new(1, outer);
    match choices.block {
        Block::Basic => vec![conv3x3.stride(stride), conv3x3],
        Block::Bottleneck(Stride::On1x1) => vec![reduce.stride(stride), conv3x3, restore],
        Block::Bottleneck(Stride::On3x3) => vec![reduce, conv3x3.stride(stride), restore],
    }
}
