//! Resizing as Pillow does it, to the bit: along the rows first, then along the columns, with levels rounded
//! to 8 bits between. Only the rows and columns that are wanted are computed.

use super::Interpolation;
use super::coefficients::{Axis, Coefficients, PRECISION};

/// Tables and lines that one image leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Convolution {
    across: Coefficients,
    down: Coefficients,
    /// The needed rows, as wide as the result.
    narrow: Vec<u8>,
    /// The last row, with a byte behind it.
    last: Vec<u8>,
}

/// Levels are rounded to the nearest.
const HALF: i32 = 1 << (PRECISION - 1);

/// Rows that are resized at a time.
const ROWS: usize = 4;

impl Convolution {
    /// Resizes `rgb`, of which `rows` and `columns` say what is wanted, into `to`.
    pub(super) fn resize(
        &mut self,
        rgb: &[u8],
        [rows, columns]: [Axis; 2],
        filter: Interpolation,
        to: &mut [u8],
    ) {
        self.across.compute(&columns, filter);
        self.down.compute(&rows, filter);
        let [first, end] = self.down.needed();
        let (line, width) = (columns.length * 3, columns.wanted * 3);
        self.narrow.resize((end - first) * width, 0);
        self.last.clear();
        self.last.extend_from_slice(&rgb[(rows.length - 1) * line..]);
        self.last.push(0);
        let row = |y: usize| if y + 1 == rows.length { &self.last[..] } else { &rgb[y * line..] };
        let mut at = first;
        for narrow in self.narrow.chunks_mut(ROWS * width) {
            // A group that is not full takes its last row several times.
            let sources: [&[u8]; ROWS] =
                std::array::from_fn(|more| &row((at + more).min(end - 1))[..=line]);
            shorten(&sources, &self.across, narrow, width);
            at += ROWS;
        }
        for (place, to) in to.chunks_exact_mut(width).enumerate() {
            let above = self.down.windows[place].first - first;
            merge(&self.narrow[above * width..], width, self.down.weights(place), to);
        }
    }
}

/// Makes rows narrower or wider; behind each source is a byte more than its pixels have.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the processor is asked first"))]
fn shorten(sources: &[&[u8]; ROWS], across: &Coefficients, to: &mut [u8], width: usize) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { shorten_avx2(sources, across, to, width) };
    }
    shorten_anywhere(sources, across, to, width);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn shorten_avx2(sources: &[&[u8]; ROWS], across: &Coefficients, to: &mut [u8], width: usize) {
    shorten_anywhere(sources, across, to, width);
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "it is compiled for the processor of its caller")]
fn shorten_anywhere(sources: &[&[u8]; ROWS], across: &Coefficients, to: &mut [u8], width: usize) {
    for (x, window) in across.windows.iter().enumerate() {
        let mut sums = [[HALF; 4]; ROWS];
        let (from, length) = (window.first * 3, window.count * 3 + 1);
        let pixels = sources.map(|source| &source[from..from + length]);
        for (tap, weight) in across.weights(x).iter().enumerate() {
            for (sums, pixels) in sums.iter_mut().zip(&pixels) {
                // Red, green, blue, and the next pixel's red, which is ignored.
                let Some(levels) = pixels[tap * 3..].first_chunk::<4>() else { continue };
                for (sum, level) in sums.iter_mut().zip(levels) {
                    *sum += i32::from(*level) * weight;
                }
            }
        }
        for (sums, row) in sums.iter().zip(to.chunks_exact_mut(width)) {
            let [red, green, blue, _] = sums.map(level);
            row[x * 3..x * 3 + 3].copy_from_slice(&[red, green, blue]);
        }
    }
}

/// Makes one row of those from the start of `rows` on, each `width` bytes.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the processor is asked first"))]
fn merge(rows: &[u8], width: usize, weights: &[i32], to: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { merge_avx2(rows, width, weights, to) };
    }
    merge_anywhere(rows, width, weights, to);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn merge_avx2(rows: &[u8], width: usize, weights: &[i32], to: &mut [u8]) {
    merge_anywhere(rows, width, weights, to);
}

/// Bytes of a row that are summed at a time: they stay in registers.
const STRIP: usize = 32;

#[inline(always)]
#[expect(clippy::inline_always, reason = "it is compiled for the processor of its caller")]
fn merge_anywhere(rows: &[u8], width: usize, weights: &[i32], to: &mut [u8]) {
    let (strips, rest) = to.as_chunks_mut::<STRIP>();
    let strips_end = strips.len() * STRIP;
    for (strip, to) in strips.iter_mut().enumerate() {
        let mut sums = [HALF; STRIP];
        for (row, weight) in rows.chunks_exact(width).zip(weights) {
            let Some(levels) = row[strip * STRIP..].first_chunk::<STRIP>() else { continue };
            for (sum, level) in sums.iter_mut().zip(levels) {
                *sum += i32::from(*level) * weight;
            }
        }
        *to = sums.map(level);
    }
    for (x, to) in (strips_end..).zip(rest) {
        let levels = rows.chunks_exact(width).map(|row| i32::from(row[x]));
        *to = level(HALF + levels.zip(weights).map(|(level, weight)| level * weight).sum::<i32>());
    }
}

/// A sum of weighted levels, cut at black and white.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is compiled for the processor of its caller")]
#[expect(clippy::cast_sign_loss, reason = "0 to 255")]
fn level(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}
