//! What a block is made of: He et al. 2015, Figure 5.

use super::arch::{Architecture, Block, Stride};

/// One convolution of a block; its batch norm follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Channels that come out.
    pub channels: usize,
    /// Height and width of the kernel; the padding is half of it, so that only strides shrink.
    pub kernel: usize,
    /// Step in both directions.
    pub stride: usize,
    /// Into how many groups the channels are split, on both sides.
    pub groups: usize,
}

impl Convolution {
    /// A `kernel`×`kernel` convolution to `channels`, with stride 1 and one group.
    #[must_use]
    pub const fn new(kernel: usize, channels: usize) -> Self {
        Self { channels, kernel, stride: 1, groups: 1 }
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
}

/// The convolutions of a block's residual branch, first to last.
///
/// `stage` counts from 0; `stride` is what the whole block shrinks by.
#[must_use]
pub fn residual(architecture: &Architecture, stage: usize, stride: usize) -> Vec<Convolution> {
    let groups = architecture.groups;
    let inner = (groups.count * groups.width) << stage;
    let outer = (4 * architecture.width) << stage;
    let reduce = Convolution::new(1, inner);
    let conv3x3 = Convolution::new(3, inner).groups(groups.count);
    let restore = Convolution::new(1, outer);
    match architecture.block {
        Block::Basic => vec![conv3x3.stride(stride), conv3x3],
        Block::Bottleneck(Stride::On1x1) => vec![reduce.stride(stride), conv3x3, restore],
        Block::Bottleneck(Stride::On3x3) => vec![reduce, conv3x3.stride(stride), restore],
    }
}
