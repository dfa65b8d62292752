//! The inner loop of convolutions of few channels.

use std::arch::x86_64::{_mm512_dpbusd_epi32, _mm512_setzero_si512};
use std::array;

use super::super::block::{CHANNELS, ChannelBlock, TAPS};
use super::registers::{
    QUARTERS, Requantize, load, load_floats, load_four, quarters, store_sixteen,
};

/// Windows of a [`FewChannelsRow`] that are computed together.
pub(in crate::kernels) const PIXELS: usize = QUARTERS;

/// One row of the output of a convolution of few channels.
pub(in crate::kernels) struct FewChannelsRow<'a> {
    /// The padded rows that the window covers, one after the other.
    pub(in crate::kernels) inputs: &'a [u8],
    /// Bytes of each padded row.
    pub(in crate::kernels) length: usize,
    /// Groups of four bytes in a row of the window.
    pub(in crate::kernels) groups: usize,
    /// Bytes from one window to the next.
    pub(in crate::kernels) step: usize,
    /// Channels of the output.
    pub(in crate::kernels) outputs: usize,
    pub(in crate::kernels) blocks: &'a [ChannelBlock],
    pub(in crate::kernels) y_zero: u8,
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn row(row: &FewChannelsRow<'_>, out: &mut [u8]) {
    let mut start = 0;
    for pixels in out.chunks_mut(PIXELS * row.outputs) {
        let (pairs, last) = row.blocks.as_chunks::<2>();
        for blocks in pairs {
            few_channel_pixels(row, start, blocks, pixels);
        }
        for block in last {
            few_channel_pixels(row, start, array::from_ref(block), pixels);
        }
        start += PIXELS * row.step;
    }
}

/// Computes the channels of some blocks for some pixels; `start` is the place of the first window in a row.
#[expect(unsafe_code, reason = "checks in the inner loop would cost a fifth of the speed")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn few_channel_pixels<const BLOCKS: usize>(
    row: &FewChannelsRow<'_>,
    start: usize,
    blocks: &[ChannelBlock; BLOCKS],
    pixels: &mut [u8],
) {
    let mut sums = [[_mm512_setzero_si512(); BLOCKS]; PIXELS];
    for sums in &mut sums {
        for (sum, block) in sums.iter_mut().zip(blocks) {
            *sum = load(&block.sums);
        }
    }
    let mut number = 0;
    for input in row.inputs.chunks_exact(row.length) {
        let end = start + (PIXELS - 1) * row.step + row.groups * TAPS;
        let input = &input[start..end];
        for group in 0..row.groups {
            let mut weights = [_mm512_setzero_si512(); BLOCKS];
            for (weights, block) in weights.iter_mut().zip(blocks) {
                *weights = load(&block.weights[number]);
            }
            number += 1;
            for (pixel, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the last group of the last pixel ends where the input does.
                let levels = unsafe { load_four(input, pixel * row.step + group * TAPS) };
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    *sum = _mm512_dpbusd_epi32(*sum, levels, weights);
                }
            }
        }
    }
    let requantize = Requantize::to(row.y_zero);
    for (number, block) in blocks.iter().enumerate() {
        let mut their_sums = [_mm512_setzero_si512(); PIXELS];
        for (to, sums) in their_sums.iter_mut().zip(&sums) {
            *to = sums[number];
        }
        let levels = requantize.levels(their_sums, [load_floats(&block.scales); QUARTERS]);
        let pixels = pixels.chunks_exact_mut(row.outputs);
        for (pixel, levels) in pixels.zip(quarters(levels)) {
            if let Some(to) = pixel[block.first..].first_chunk_mut::<CHANNELS>() {
                // SAFETY: there are 16 bytes.
                unsafe { store_sixteen(to, 0, levels) };
            }
        }
    }
}
