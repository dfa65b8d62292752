//! Pointwise convolutions: each pixel of the output is computed from all channels of one pixel of the input.
//!
//! With channels last, the convolution is a product of two matrices: pixels × inputs and inputs × outputs. ONNX Runtime
//! writes the sums to memory and reads them again to scale them. Here, a tile of some pixels and up to 64 outputs is
//! computed and scaled in registers.

use std::borrow::Cow;

use super::block::{CHANNELS, Panel, TAPS};
use super::convolution::PackedShape;
use super::vnni::{PixelRun, Vnni};
use super::{Edges, Extent, Geometry, Grouping, ImageBytes, QLinearConv};

/// Bytes of inputs and outputs of a part that is computed with all weights before the next part, so that it stays in
/// the core's cache.
const CACHED: usize = 128 << 10;

/// A 1×1 convolution.
#[derive(Debug)]
pub(super) struct Pointwise {
    panels: Vec<Panel>,
    shape: PackedShape,
    vnni: Vnni,
}

impl Pointwise {
    /// Whether there is fast code for this shape. On a Zen 4 core, all of the shapes in EfficientNet-Lite0 and ResNet-50 are faster than in ONNX Runtime.
    pub(super) fn fits(geometry: &Geometry) -> bool {
        geometry.groups == Grouping::One
            && geometry.window == Extent { rows: 1, columns: 1 }
            && geometry.padding == Edges { top: 0, left: 0, bottom: 0, right: 0 }
            && geometry.inputs.is_multiple_of(TAPS)
            && geometry.outputs >= CHANNELS
    }

    /// Packs the constants of `convolution`, whose shape must satisfy [`Self::fits`].
    pub(super) fn new(convolution: &QLinearConv, vnni: Vnni) -> Self {
        Self { panels: Panel::all(convolution), shape: convolution.shape(), vnni }
    }

    /// Computes rows of the output as `QLinearConv::rows` does.
    pub(super) fn rows(&self, image: ImageBytes<'_>, first: usize, rows: &mut [u8]) {
        let Geometry { inputs: channels, outputs, .. } = self.shape.geometry;
        let inputs = Self::inputs(&self.shape.geometry, image, first, rows.len() / outputs);
        let pixels = (CACHED / (channels + outputs)).max(1);
        let parts = rows.chunks_mut(pixels * outputs).zip(inputs.chunks(pixels * channels));
        for (out, inputs) in parts {
            let y_zero = self.shape.y_zero;
            let run = PixelRun { inputs, channels, outputs, panels: &self.panels, y_zero };
            self.vnni.pointwise(&run, out);
        }
    }

    /// The input pixels of `pixels` output pixels, beginning with row `first`: uint8 `[pixels, channels]`.
    fn inputs<'a>(
        geometry: &Geometry,
        image: ImageBytes<'a>,
        first: usize,
        pixels: usize,
    ) -> Cow<'a, [u8]> {
        let &Geometry { inputs: channels, strides, .. } = geometry;
        let row = image.size.columns * channels;
        // Nothing, if no rows are left.
        let from = image.bytes.get(first * strides.rows * row..).unwrap_or_default();
        if strides == (Extent { rows: 1, columns: 1 }) {
            return from.into();
        }
        let rows = from.chunks_exact(row).step_by(strides.rows);
        let windows = rows.flat_map(|row| row.chunks_exact(channels).step_by(strides.columns));
        let mut inputs = Vec::with_capacity(pixels * channels);
        windows.take(pixels).for_each(|pixel| inputs.extend_from_slice(pixel));
        inputs.into()
    }
}
