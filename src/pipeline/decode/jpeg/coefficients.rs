//! The quantized coefficients of an image whose blocks arrive in several scans.

use super::frame_header::{BlockLayout, FrameHeader};
use super::tables::Quantization;

/// The coefficients of a component.
#[derive(Debug)]
pub(super) struct CoefficientPlane {
    pub(super) layout: BlockLayout,
    /// The quantization table of the component's first scan (jdinput.c, `latch_quant_tables`).
    pub(super) quantization: Option<Quantization>,
    /// The blocks, row by row.
    pub(super) blocks: Vec<CoefficientBlock>,
}

impl CoefficientPlane {
    /// Empty planes for all components of a frame.
    pub(super) fn all(frame: &FrameHeader) -> Vec<Self> {
        let plane = |layout: BlockLayout| {
            let [rows, columns] = layout.stored;
            Self {
                layout,
                quantization: None,
                blocks: vec![CoefficientBlock::EMPTY; rows * columns],
            }
        };
        frame.layouts().into_iter().map(plane).collect()
    }

    /// The memory of the planes of a frame, in bytes.
    pub(super) fn bytes(frame: &FrameHeader) -> u64 {
        frame.samples() / 64 * size_of::<CoefficientBlock>() as u64
    }

    /// Index of the block at this row and column.
    #[inline]
    pub(super) fn index(&self, row: usize, column: usize) -> usize {
        row * self.layout.stored[1] + column
    }
}

/// A block of 8×8 coefficients.
#[derive(Debug, Clone)]
pub(super) struct CoefficientBlock {
    /// In zigzag order.
    pub(super) values: [i16; 64],
    /// An upper bound for the index of the last coefficient that is not 0, so that most blocks are read only in part.
    pub(super) last: u8,
}

impl CoefficientBlock {
    const EMPTY: Self = Self { values: [0; 64], last: 0 };

    /// Sets the coefficient at `k`. As in libjpeg, those beyond a block are written to its end.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "less than 64")]
    pub(super) fn set(&mut self, k: usize, value: i16) {
        let k = k.min(63);
        self.values[k] = value;
        self.last = self.last.max(k as u8);
    }
}
