//! Resizing with the same result as Pillow, bit for bit: usually along the rows first, then along the
//! columns, with levels rounded to 8 bits in between. Only the required pixels are computed.

use super::Interpolation;
#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::coefficients::{Axis, FilterCoefficients, HALF, PRECISION, ROWS, STRIP, Taps};

/// Tables and rows that are reused for the next image.
#[derive(Debug, Default)]
pub(super) struct Resampler {
    across: FilterCoefficients,
    down: FilterCoefficients,
    /// Rows between the two passes, each of which begins at a multiple of [`STRIP`].
    between: Vec<u8>,
    /// Copies of rows that need more bytes after them.
    copied: Vec<u8>,
    passes: Passes,
}

/// The code that computes both passes.
#[derive(Debug)]
struct Passes {
    shorten: fn(&[&[u8]; ROWS], &FilterCoefficients, &mut [u8], usize),
    merge: fn(&[u8], usize, Taps<'_>, &mut [u8]),
}

impl Default for Passes {
    /// The fastest code for this processor.
    fn default() -> Self {
        Self { shorten, merge }
    }
}

/// Bytes after a row that may be read; their values do not matter.
const SPARE: usize = 16;

impl Resampler {
    /// Resizes `rgb` into `to`, according to `rows` and `columns`.
    pub(super) fn resize(
        &mut self,
        rgb: &[u8],
        [rows, columns]: [Axis; 2],
        filter: Interpolation,
        to: &mut [u8],
    ) {
        self.across.compute(&columns, filter);
        self.down.compute(&rows, filter);
        let (line, width) = (columns.length * 3, columns.wanted * 3);
        if is_down_first(&rows, &columns) {
            self.down_then_across(rgb, line, width, to);
        } else {
            self.across_then_down(rgb, line, width, to);
        }
    }

    fn across_then_down(&mut self, rgb: &[u8], line: usize, width: usize, to: &mut [u8]) {
        let [first, end] = self.down.needed();
        let stride = stride_of(width);
        self.between.resize((end - first).next_multiple_of(ROWS) * stride, 0);

        // Too few bytes follow the last rows.
        let tail = (rgb.len() / line).saturating_sub(SPARE.div_ceil(line));
        self.copied.clear();
        self.copied.extend_from_slice(&rgb[tail * line..]);
        self.copied.extend_from_slice(&[0; SPARE]);
        let row = |y: usize| match y.checked_sub(tail) {
            Some(behind) => &self.copied[behind * line..][..line + SPARE],
            None => &rgb[y * line..][..line + SPARE],
        };
        for (group, between) in self.between.chunks_exact_mut(ROWS * stride).enumerate() {
            // An incomplete group repeats the last row.
            let row_of = |more: usize| row((first + group * ROWS + more).min(end - 1));
            (self.passes.shorten)(&std::array::from_fn(row_of), &self.across, between, stride);
        }
        for (place, to) in to.chunks_exact_mut(width).enumerate() {
            let above = self.down.windows[place].first - first;
            let rows = &self.between[above * stride..];
            (self.passes.merge)(rows, stride, self.down.taps(place), to);
        }
    }

    fn down_then_across(&mut self, rgb: &[u8], line: usize, width: usize, to: &mut [u8]) {
        let (between_stride, stride) = (stride_of(line + SPARE), stride_of(width));
        let rows = to.len() / width;
        self.between.resize(rows * between_stride, 0);
        for (place, between) in self.between.chunks_exact_mut(between_stride).enumerate() {
            let window = self.down.windows[place];
            self.copied.resize(window.count * between_stride, 0);
            let sources = rgb.chunks_exact(line).skip(window.first);
            for (to, row) in self.copied.chunks_exact_mut(between_stride).zip(sources) {
                to[..line].copy_from_slice(row);
            }
            let taps = self.down.taps(place);
            (self.passes.merge)(&self.copied, between_stride, taps, &mut between[..line]);
        }
        self.copied.resize(ROWS * stride, 0);
        for (group, to) in to.chunks_mut(ROWS * width).enumerate() {
            let row_of = |more: usize| {
                let row = (group * ROWS + more).min(rows - 1);
                &self.between[row * between_stride..][..line + SPARE]
            };
            let sources = std::array::from_fn(row_of);
            (self.passes.shorten)(&sources, &self.across, &mut self.copied, stride);
            for (to, row) in to.chunks_exact_mut(width).zip(self.copied.chunks_exact(stride)) {
                to.copy_from_slice(&row[..width]);
            }
        }
    }
}

/// Whether Pillow resizes along the columns first. Since version 13.0 it does if the height shrinks by more
/// than twice as many pixels as the width (`ImagingResampleInner`); earlier versions never do.
fn is_down_first(rows: &Axis, columns: &Axis) -> bool {
    let shrinks_by = |axis: &Axis| i128::from(axis.length as u64) - i128::from(axis.resized);
    let [by_rows, by_columns] = [rows, columns].map(shrinks_by);
    by_rows > 0 && by_rows > 2 * by_columns
}

/// The distance between rows of `bytes`: a multiple of the strip, and at least one byte more, so that four
/// bytes can be written for the last pixel.
fn stride_of(bytes: usize) -> usize {
    (bytes + 1).next_multiple_of(STRIP)
}

/// Resizes rows horizontally. Each source must have [`SPARE`] bytes after its pixels. The rows of `to` are
/// `stride` bytes apart and need at least one byte after their pixels.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the processor is asked first"))]
fn shorten(sources: &[&[u8]; ROWS], across: &FilterCoefficients, to: &mut [u8], stride: usize) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::shorten(sources, across, to, stride) };
    }
    shorten_anywhere(sources, across, to, stride);
}

/// The same for any processor.
fn shorten_anywhere(
    sources: &[&[u8]; ROWS],
    across: &FilterCoefficients,
    to: &mut [u8],
    stride: usize,
) {
    for (x, window) in across.windows.iter().enumerate() {
        let mut sums = [[HALF; 4]; ROWS];
        let (from, length) = (window.first * 3, window.count * 3 + 1);
        let pixels = sources.map(|source| &source[from..from + length]);
        for (tap, weight) in across.taps(x).weights().enumerate() {
            for (sums, pixels) in sums.iter_mut().zip(&pixels) {
                // Red, green, blue, and the next pixel's red, which is ignored.
                let Some(levels) = pixels[tap * 3..].first_chunk::<4>() else { continue };
                for (sum, level) in sums.iter_mut().zip(levels) {
                    *sum += i32::from(*level) * weight;
                }
            }
        }
        for (sums, row) in sums.iter().zip(to.chunks_exact_mut(stride)) {
            let [red, green, blue, _] = sums.map(level);
            row[x * 3..x * 3 + 3].copy_from_slice(&[red, green, blue]);
        }
    }
}

/// Computes one row from those at the start of `rows`, which are `stride` bytes apart.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the processor is asked first"))]
fn merge(rows: &[u8], stride: usize, taps: Taps<'_>, to: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::merge(rows, stride, taps, to) };
    }
    merge_anywhere(rows, stride, taps, to);
}

/// The same for any processor.
fn merge_anywhere(rows: &[u8], stride: usize, taps: Taps<'_>, to: &mut [u8]) {
    for (strip, to) in to.chunks_mut(STRIP).enumerate() {
        let mut sums = [HALF; STRIP];
        for (row, weight) in rows.chunks_exact(stride).zip(taps.weights()) {
            let Some(levels) = row[strip * STRIP..].first_chunk::<STRIP>() else { continue };
            for (sum, level) in sums.iter_mut().zip(levels) {
                *sum += i32::from(*level) * weight;
            }
        }
        to.copy_from_slice(&sums.map(level)[..to.len()]);
    }
}

/// A sum of weighted levels, rounded and clamped to 0 and 255.
#[expect(clippy::cast_sign_loss, reason = "0 to 255")]
fn level(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A part of the resized pixels, for a random length.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small whole numbers"
    )]
    fn axis() -> impl Strategy<Value = Axis> {
        (1_usize..70, 1_u64..60, 0.0..1.0_f64, 0.0..1.0_f64, 0.0..1.0_f64).prop_map(
            |(length, resized, first, wanted, margin)| {
                let part = |of: u64, share: f64| (of as f64 * share) as u64;
                let first = part(resized, first).min(resized - 1);
                let wanted = (part(resized - first, wanted) as usize).max(1);
                let margin = margin * length as f64 / 4.0;
                Axis { length, span: [margin, length as f64 - margin], resized, first, wanted }
            },
        )
    }

    /// Pixels computed by a formula, and the result of Pillow 13.0: `Image.resize`, bilinear.
    #[test]
    fn tall_images_are_resized_along_the_columns_first() {
        const SIDES: [usize; 2] = [40, 5];
        let level = |index: usize| {
            let (pixel, channel) = (index / 3, index % 3);
            let (y, x) = (pixel / SIDES[1], pixel % SIDES[1]);
            u8::try_from((x * x * 37 + y * y * 91 + channel * 53 + x * y * 17) % 256).unwrap()
        };
        let rgb: Vec<u8> = (0..SIDES[0] * SIDES[1] * 3).map(level).collect();
        let axis = |length: usize| {
            let (wanted, resized) = (3, 3);
            let end = f64::from(u32::try_from(length).unwrap());
            Axis { length, span: [0.0, end], resized, first: 0, wanted }
        };
        let mut to = [0; 27];
        Resampler::default().resize(&rgb, SIDES.map(axis), Interpolation::Bilinear, &mut to);
        let pillow = [
            113, 122, 136, 105, 118, 152, 124, 134, 129, 106, 135, 112, 114, 143, 153, 134, 140,
            138, 122, 119, 112, 113, 112, 131, 124, 127, 126,
        ];
        assert_eq!(to, pillow);
    }

    proptest! {
        /// AVX2 code and portable code give the same bytes, for any size.
        #[test]
        fn fast_code_and_portable_code_give_the_same_result(
            rows in axis(),
            columns in axis(),
            filter in prop_oneof![
                Just(Interpolation::Bilinear),
                Just(Interpolation::Bicubic),
                Just(Interpolation::Lanczos),
            ],
            seed: u64,
        ) {
            let mut state = seed;
            let rgb: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Mostly black and white, so that sums exceed the range.
                match state >> 60 {
                    0..6 => 0,
                    6..12 => 255,
                    _ => state.to_be_bytes()[1],
                }
            })
            .take(rows.length * columns.length * 3)
            .collect();
            let plain = Passes { shorten: shorten_anywhere, merge: merge_anywhere };
            let [fast, plain] = [Passes::default(), plain].map(|passes| {
                let mut convolution = Resampler { passes, ..Resampler::default() };
                let mut to = vec![0; rows.wanted * columns.wanted * 3];
                convolution.resize(&rgb, [rows, columns], filter, &mut to);
                to
            });
            prop_assert_eq!(fast, plain);
        }
    }
}
