//! Depthwise convolutions: each output channel is computed from one input channel.
//!
//! For 16 channels, the bytes of four rows are interleaved, so that four rows of a column are adjacent. One instruction
//! then adds four products for each of 16 channels, and a column serves all windows that contain it. If windows have three
//! rows and are one row apart, four rows of the input serve two rows of the output.

use std::array;

use super::block::{CHANNELS, ChannelBlock, TAPS};
use super::convolution::PackedShape;
use super::vnni::{DepthwiseRows, INPUT_ROWS, Vnni};
use super::{Edges, Extent, Geometry, Grouping, ImageBytes, QLinearConv};

/// A depthwise convolution with a window of 3×3 or 5×5.
#[derive(Debug)]
pub(super) struct Depthwise {
    blocks: Vec<ChannelBlock>,
    shape: PackedShape,
    vnni: Vnni,
}

impl Depthwise {
    pub(super) fn fits(geometry: &Geometry) -> bool {
        let Extent { rows, columns } = geometry.window;
        geometry.groups == Grouping::PerChannel
            && geometry.outputs >= CHANNELS
            && rows == columns
            && matches!(rows, 3 | 5)
            && geometry.strides.columns <= 2
    }

    /// Packs the constants of `convolution`, whose shape must satisfy [`Self::fits`].
    pub(super) fn new(convolution: &QLinearConv, vnni: Vnni) -> Self {
        let Extent { rows, columns } = convolution.geometry().window;
        // The rows of the window, from row `first` of the input, where the window begins in row `above`.
        let group = |column: usize, first: usize, above: usize| {
            array::from_fn(|tap| {
                let row = (first + tap).checked_sub(above).filter(|&row| row < rows);
                row.map(|row| row * columns + column)
            })
        };
        let inputs: Vec<[Option<usize>; TAPS]> = (0..2)
            .flat_map(|above| (0..columns).map(move |column| [above, column]))
            .flat_map(|[above, column]| {
                (0..rows).step_by(TAPS).map(move |first| group(column, first, above))
            })
            .collect();
        Self { blocks: ChannelBlock::all(convolution, &inputs), shape: convolution.shape(), vnni }
    }

    /// Computes rows of the output as `QLinearConv::rows` does.
    pub(super) fn rows(&self, image: ImageBytes<'_>, first: usize, rows: &mut [u8]) {
        let Geometry { inputs: channels, strides, window, .. } = self.shape.geometry;
        let Ok(output) = self.shape.geometry.output(image.size) else { return };
        let row = output.columns * channels;
        let outside = vec![self.shape.x_zero; image.size.columns * channels];
        let together = if window.rows == 3 && strides.rows == 1 { 2 } else { 1 };
        for (number, out) in rows.chunks_mut(together * row).enumerate() {
            let above = (first + number * together) * strides.rows;
            let rows = self.inputs(image, above, &outside);
            let (upper, lower) = out.split_at_mut(row);
            match (window.rows, strides.columns, lower.is_empty()) {
                (3, 1, true) => self.vnni.depthwise::<3, 1, 1, 1>(&rows, &mut [upper]),
                (3, 1, false) => self.vnni.depthwise::<3, 1, 2, 1>(&rows, &mut [upper, lower]),
                (3, _, true) => self.vnni.depthwise::<3, 1, 1, 2>(&rows, &mut [upper]),
                (3, _, false) => self.vnni.depthwise::<3, 1, 2, 2>(&rows, &mut [upper, lower]),
                (_, 1, _) => self.vnni.depthwise::<5, 2, 1, 1>(&rows, &mut [upper]),
                (_, _, _) => self.vnni.depthwise::<5, 2, 1, 2>(&rows, &mut [upper]),
            }
        }
    }

    /// Rows of the padded input, beginning with row `above`. Those of the padding are `outside`.
    fn inputs<'a>(
        &'a self,
        image: ImageBytes<'a>,
        above: usize,
        outside: &'a [u8],
    ) -> DepthwiseRows<'a> {
        let PackedShape { geometry, x_zero, y_zero } = self.shape;
        let Geometry { inputs: channels, padding: Edges { top, left, .. }, .. } = geometry;
        let inputs: [&[u8]; INPUT_ROWS] = array::from_fn(|tap| {
            let inside = (above + tap).checked_sub(top).filter(|&row| row < image.size.rows);
            inside.map_or(outside, |row| &image.bytes[row * outside.len()..][..outside.len()])
        });
        let (blocks, width) = (&*self.blocks, image.size.columns);
        DepthwiseRows { inputs, channels, width, left, blocks, x_zero, y_zero }
    }
}
