//! Convolutions of few input channels, such as the first of a network.
//!
//! With channels last, a row of the window is contiguous in memory. Four bytes of it are multiplied by the weights of 16
//! output channels in one instruction; the weights of the bytes beyond the row are zero.

use std::array;

use super::block::{CHANNELS, ChannelBlock, TAPS};
use super::convolution::PackedShape;
use super::vnni::{FewChannelsRow, PIXELS, Vnni};
use super::{Edges, Extent, Geometry, Grouping, ImageBytes, QLinearConv};

/// Maximum number of input channels. With more, ONNX Runtime's matrix product is as fast.
const MAX_INPUTS: usize = 4;

/// A convolution of at most four input channels.
#[derive(Debug)]
pub(super) struct FewChannels {
    blocks: Vec<ChannelBlock>,
    shape: PackedShape,
    vnni: Vnni,
}

impl FewChannels {
    pub(super) fn fits(geometry: &Geometry) -> bool {
        geometry.groups == Grouping::One
            && geometry.inputs <= MAX_INPUTS
            && geometry.outputs >= CHANNELS
    }

    /// Packs the constants of `convolution`, whose shape must satisfy [`Self::fits`].
    pub(super) fn new(convolution: &QLinearConv, vnni: Vnni) -> Self {
        let &Geometry { inputs: channels, window, .. } = convolution.geometry();
        let row_bytes = window.columns * channels;
        let group = |row: usize, first: usize| {
            array::from_fn(|tap| {
                let place = first + tap;
                let (column, channel) = (place / channels, place % channels);
                (place < row_bytes)
                    .then_some((channel * window.rows + row) * window.columns + column)
            })
        };
        let inputs: Vec<[Option<usize>; TAPS]> = (0..window.rows)
            .flat_map(|row| (0..row_bytes).step_by(TAPS).map(move |first| group(row, first)))
            .collect();
        Self { blocks: ChannelBlock::all(convolution, &inputs), shape: convolution.shape(), vnni }
    }

    /// Computes rows of the output as `QLinearConv::rows` does.
    pub(super) fn rows(&self, image: ImageBytes<'_>, first: usize, rows: &mut [u8]) {
        let Geometry { inputs: channels, outputs, window, strides, padding, .. } =
            self.shape.geometry;
        let Ok(output) = self.shape.geometry.output(image.size) else { return };
        let PackedShape { x_zero, y_zero, .. } = self.shape;
        let Edges { top, left, .. } = padding;
        let Extent { rows: height, columns: width } = image.size;
        let groups = (window.columns * channels).div_ceil(TAPS);
        let step = strides.columns * channels;
        // The windows of a row are computed in groups of `PIXELS`, and each is read in groups of four bytes.
        let windows = output.columns.next_multiple_of(PIXELS);
        let length = ((windows - 1) * step + groups * TAPS).max((left + width) * channels);
        let mut padded = vec![x_zero; window.rows * length];
        for (number, row) in rows.chunks_exact_mut(output.columns * outputs).enumerate() {
            let above = (first + number) * strides.rows;
            for (tap, to) in padded.chunks_exact_mut(length).enumerate() {
                let to = &mut to[left * channels..][..width * channels];
                match (above + tap).checked_sub(top).filter(|&row| row < height) {
                    Some(row) => to.copy_from_slice(&image.bytes[row * to.len()..][..to.len()]),
                    None => to.fill(x_zero),
                }
            }
            let task = FewChannelsRow {
                inputs: &padded,
                length,
                groups,
                step,
                outputs,
                blocks: &self.blocks,
                y_zero,
            };
            self.vnni.few_channels(&task, row);
        }
    }
}
