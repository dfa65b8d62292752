//! An int8 convolution as ONNX's operator `QLinearConv` defines it, and its computation in portable code.
//!
//! "Level" in names means a quantized value, the integer `value / scale + zero point`; "window" means the convolution's kernel,
//! because "kernel" here means a program.

/// Rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
}

/// Zero padding at each edge of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edges {
    /// Rows above.
    pub top: usize,
    /// Columns on the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns on the right.
    pub right: usize,
}

/// Which inputs an output channel is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// From the input channel of the same number (a depthwise convolution).
    PerChannel,
    /// From all.
    One,
}

/// The shape of a convolution without dilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Depthwise, or with all channels connected.
    pub groups: Grouping,
    /// Size of the window, the convolution's kernel.
    pub window: Extent,
    /// Distance from one window to the next.
    pub strides: Extent,
    /// Zero padding.
    pub padding: Edges,
}

/// The constants of a convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Constants {
    /// int8 `[outputs, inputs of an output, rows, columns]`, row-major.
    pub weights: Vec<i8>,
    /// int32 `[outputs]`.
    pub bias: Vec<i32>,
    /// Multiplier of requantization, `input scale · weight scale / output scale`, float32 `[outputs]`.
    pub scales: Vec<f32>,
    /// The input's zero point.
    pub x_zero: u8,
    /// The output's zero point.
    pub y_zero: u8,
}

/// A convolution from uint8 to uint8: `saturate(round_ties_even((bias + Σ (x − x_zero) · weight) · scale) + y_zero)`.
///
/// Source: ONNX, operator `QLinearConv`; the order of the operations is that of ONNX Runtime's `MlasRequantizeOutput`.
#[derive(Debug, Clone, PartialEq)]
pub struct QLinearConv {
    geometry: Geometry,
    constants: Constants,
}

/// Shape and zero points of a convolution whose other constants are packed.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedShape {
    pub(super) geometry: Geometry,
    pub(super) x_zero: u8,
    pub(super) y_zero: u8,
}

/// Geometry, constants or images do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// There are no channels, an empty window, no stride, or channels of a depthwise convolution that differ.
    #[error("the geometry is not that of a convolution")]
    Geometry,
    /// Weights, bias or scales have another number of elements than the geometry, or a scale is not finite.
    #[error("the constants do not fit the geometry")]
    Constants,
    /// The image has another number of bytes than its size, or is smaller than the window.
    #[error("the image does not fit the convolution")]
    Image,
    /// The output is not a number of complete rows, or has rows below the last.
    #[error("the output does not fit the convolution")]
    Output,
}

/// One image, uint8 `[H, W, C]`.
#[derive(Debug, Clone, Copy)]
pub struct ImageBytes<'a> {
    /// Its levels.
    pub bytes: &'a [u8],
    /// Its size.
    pub size: Extent,
}

impl Geometry {
    /// Input channels of one output.
    #[must_use]
    pub const fn depth(&self) -> usize {
        match self.groups {
            Grouping::PerChannel => 1,
            Grouping::One => self.inputs,
        }
    }

    /// Size of the output for an image of this size.
    ///
    /// # Errors
    ///
    /// [`Mismatch::Image`] if the image is smaller than the window.
    pub fn output(&self, size: Extent) -> Result<Extent, Mismatch> {
        let Self { window, strides, padding, .. } = self;
        let windows = |length: usize, window: usize, stride: usize| {
            length.checked_sub(window).map(|rest| rest / stride + 1).ok_or(Mismatch::Image)
        };
        Ok(Extent {
            rows: windows(size.rows + padding.top + padding.bottom, window.rows, strides.rows)?,
            columns: windows(
                size.columns + padding.left + padding.right,
                window.columns,
                strides.columns,
            )?,
        })
    }

    fn is_convolution(&self) -> bool {
        let Self { inputs, outputs, window, strides, .. } = *self;
        let sides = [inputs, outputs, window.rows, window.columns, strides.rows, strides.columns];
        sides.iter().all(|&side| side > 0) && (self.groups == Grouping::One || inputs == outputs)
    }
}

impl Constants {
    /// Whether each scale is less than one, so that a scaled sum is in the range of int32. The fast kernels need this.
    #[must_use]
    pub fn has_small_scales(&self) -> bool {
        self.scales.iter().all(|scale| scale.abs() < 1.0)
    }
}

impl QLinearConv {
    /// A convolution with these constants.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] if they do not fit together.
    pub fn new(geometry: Geometry, constants: Constants) -> Result<Self, Mismatch> {
        if !geometry.is_convolution() {
            return Err(Mismatch::Geometry);
        }
        let Constants { weights, bias, scales, .. } = &constants;
        let window = geometry.window;
        let elements = [geometry.outputs, geometry.depth(), window.rows, window.columns];
        let fits = weights.len() == elements.iter().product::<usize>()
            && bias.len() == geometry.outputs
            && scales.len() == geometry.outputs
            && scales.iter().all(|scale| scale.is_finite());
        if fits { Ok(Self { geometry, constants }) } else { Err(Mismatch::Constants) }
    }

    /// Its shape.
    #[must_use]
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Its constants.
    #[must_use]
    pub const fn constants(&self) -> &Constants {
        &self.constants
    }

    #[cfg(target_arch = "x86_64")]
    pub(super) const fn shape(&self) -> PackedShape {
        let Constants { x_zero, y_zero, .. } = self.constants;
        PackedShape { geometry: self.geometry, x_zero, y_zero }
    }

    /// The weights of an output channel, `[inputs of an output, rows, columns]`.
    #[must_use]
    pub fn weights(&self, output: usize) -> &[i8] {
        let count = self.constants.weights.len() / self.geometry.outputs;
        &self.constants.weights[output * count..][..count]
    }

    /// The sum of an output channel where every input has the level 0. Levels can be added to it without subtracting
    /// their zero point.
    #[must_use]
    pub fn sum_of_zeros(&self, output: usize) -> i32 {
        let weights: i32 = self.weights(output).iter().map(|&weight| i32::from(weight)).sum();
        let zeros = weights.wrapping_mul(self.constants.x_zero.into());
        self.constants.bias[output].wrapping_sub(zeros)
    }

    /// Computes rows of the output in portable code, beginning with row `first`: uint8 `[rows, columns, outputs]`.
    pub(super) fn rows(&self, image: ImageBytes<'_>, first: usize, rows: &mut [u8]) {
        let outputs = self.geometry.outputs;
        let Ok(size) = self.geometry.output(image.size) else { return };
        for (number, pixel) in rows.chunks_exact_mut(outputs).enumerate() {
            let place =
                Extent { rows: first + number / size.columns, columns: number % size.columns };
            for (output, level) in pixel.iter_mut().enumerate() {
                *level = self.level(self.sum(image, place, output), output);
            }
        }
    }

    /// The sum for one element of the output.
    fn sum(&self, image: ImageBytes<'_>, place: Extent, output: usize) -> i32 {
        let Geometry { inputs, window, strides, padding, groups, .. } = self.geometry;
        let first = match groups {
            Grouping::PerChannel => output,
            Grouping::One => 0,
        };
        let mut sum = self.sum_of_zeros(output);
        let planes = self.weights(output).chunks_exact(window.rows * window.columns);
        for (channel, plane) in planes.enumerate() {
            for (tap, &weight) in plane.iter().enumerate() {
                let row = place.rows * strides.rows + tap / window.columns;
                let column = place.columns * strides.columns + tap % window.columns;
                let inside = row.checked_sub(padding.top).zip(column.checked_sub(padding.left));
                let inside = inside
                    .filter(|&(row, column)| row < image.size.rows && column < image.size.columns);
                let level = inside.map_or(self.constants.x_zero, |(row, column)| {
                    image.bytes[(row * image.size.columns + column) * inputs + first + channel]
                });
                sum = sum.wrapping_add(i32::from(level) * i32::from(weight));
            }
        }
        sum
    }

    /// A sum as a level of the output.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sums are rounded to float32, as in ONNX Runtime; the result is between 0 and 255"
    )]
    fn level(&self, sum: i32, output: usize) -> u8 {
        let zero = f32::from(self.constants.y_zero);
        let scaled = sum as f32 * self.constants.scales[output];
        (scaled.clamp(-zero, 255.0 - zero).round_ties_even() + zero) as u8
    }
}
