//! What a block is made of: He et al. 2015, Figure 5.

use super::arch::{Block, Stride};

/// One convolution of a block; its batch norm follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Channels that come out.
    pub channels: usize,
    /// Height and width of the kernel; the padding is half of it, so that only strides shrink.
    pub kernel: usize,
    /// Step in both directions.
    pub stride: usize,
}

impl Convolution {
    /// A `kernel`×`kernel` convolution to `channels`, with stride 1.
    #[must_use]
    pub const fn new(kernel: usize, channels: usize) -> Self {
        Self { channels, kernel, stride: 1 }
    }

    /// The same convolution with this stride.
    #[must_use]
    pub const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }
}

/// The convolutions of a block's residual branch, first to last.
///
/// `width` is the channels of its 3×3 convolutions, `stride` what the whole block shrinks by.
#[must_use]
pub fn residual(block: Block, width: usize, stride: usize) -> Vec<Convolution> {
    let conv1x1 = |channels| Convolution::new(1, channels);
    let conv3x3 = |channels| Convolution::new(3, channels);
    match block {
        Block::Basic => vec![conv3x3(width).stride(stride), conv3x3(width)],
        Block::Bottleneck(Stride::On1x1) => {
            vec![conv1x1(width).stride(stride), conv3x3(width), conv1x1(4 * width)]
        }
        Block::Bottleneck(Stride::On3x3) => {
            vec![conv1x1(width), conv3x3(width).stride(stride), conv1x1(4 * width)]
        }
    }
}
