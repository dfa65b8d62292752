//! Depthwise convolutions: each output channel is computed from one input channel.
//!
//! For each row of the output and 16 channels, the bytes of the window's rows are interleaved, so that four rows of
//! a column are adjacent. One instruction then adds four products for each of 16 channels, and a column serves all
//! windows that contain it.

use std::array;

use super::block::{CHANNELS, ChannelBlock, Register, TAPS};
use super::convolution::Frame;
use super::vnni::{DepthwiseRow, Vnni};
use super::{Edges, Extent, Geometry, Groups, ImageBytes, QLinearConv};

/// A depthwise convolution with a window of 3×3 or 5×5.
#[derive(Debug)]
pub(super) struct Depthwise {
    blocks: Vec<ChannelBlock>,
    frame: Frame,
    vnni: Vnni,
}

impl Depthwise {
    pub(super) fn fits(geometry: &Geometry) -> bool {
        let Extent { rows, columns } = geometry.window;
        geometry.groups == Groups::Each
            && geometry.outputs >= CHANNELS
            && rows == columns
            && matches!(rows, 3 | 5)
    }

    /// `convolution` must fit.
    pub(super) fn new(convolution: &QLinearConv, vnni: Vnni) -> Self {
        let Extent { rows, columns } = convolution.geometry().window;
        let group = |column: usize, first: usize| {
            array::from_fn(|tap| {
                let row = first + tap;
                (row < rows).then_some(row * columns + column)
            })
        };
        let inputs: Vec<[Option<usize>; TAPS]> = (0..columns)
            .flat_map(|column| (0..rows).step_by(TAPS).map(move |first| group(column, first)))
            .collect();
        Self { blocks: ChannelBlock::all(convolution, &inputs), frame: convolution.frame(), vnni }
    }

    /// Like `QLinearConv::rows`.
    pub(super) fn rows(&self, image: ImageBytes<'_>, first: usize, rows: &mut [u8]) {
        match self.frame.geometry.window.rows {
            3 => self.rows_of::<3, 1>(image, first, rows),
            _ => self.rows_of::<5, 2>(image, first, rows),
        }
    }

    /// The window has `SIDE` rows, which are `GROUPS` groups of four.
    fn rows_of<const SIDE: usize, const GROUPS: usize>(
        &self,
        image: ImageBytes<'_>,
        first: usize,
        rows: &mut [u8],
    ) {
        let Geometry { inputs: channels, strides, padding, .. } = self.frame.geometry;
        let Ok(output) = self.frame.geometry.output(image.size) else { return };
        let Frame { x_zero, y_zero, .. } = self.frame;
        let Edges { top, left, right, .. } = padding;
        let outside = vec![x_zero; image.size.columns * channels];
        let padded = left + image.size.columns + right;
        let mut columns = vec![[Register::filled(x_zero); GROUPS]; padded];
        for (number, row) in rows.chunks_exact_mut(output.columns * channels).enumerate() {
            let above = (first + number) * strides.rows;
            let inputs: [&[u8]; SIDE] = array::from_fn(|tap| {
                let inside = (above + tap).checked_sub(top).filter(|&row| row < image.size.rows);
                inside.map_or(&*outside, |row| &image.bytes[row * outside.len()..][..outside.len()])
            });
            let task = DepthwiseRow {
                inputs,
                channels,
                width: image.size.columns,
                left,
                stride: strides.columns,
                blocks: &self.blocks,
                y_zero,
            };
            self.vnni.depthwise(&task, &mut columns, row);
        }
    }
}
