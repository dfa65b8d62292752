//! The inner loop of depthwise convolutions.

use std::arch::x86_64::{
    __m128i, __m512, __m512i, _mm_setr_epi8, _mm256_set_m128i, _mm512_broadcast_i32x4,
    _mm512_castsi256_si512, _mm512_cvtepu8_epi32, _mm512_dpbusd_epi32, _mm512_inserti64x4,
    _mm512_permutexvar_epi32, _mm512_setr_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8,
};
use std::hint::black_box;

use super::super::block::{CHANNELS, ChannelBlock, Register, TAPS};
use super::registers::{
    QUARTERS, Requantize, load, load_floats, load_sixteen, quarters, store_register, store_sixteen,
};

/// One row of the output of a depthwise convolution.
pub(in crate::kernels) struct DepthwiseRow<'a, const SIDE: usize> {
    /// The rows of the image that the window covers, uint8 `[W, C]`.
    pub(in crate::kernels) inputs: [&'a [u8]; SIDE],
    /// C.
    pub(in crate::kernels) channels: usize,
    /// W.
    pub(in crate::kernels) width: usize,
    /// Columns before those of the image.
    pub(in crate::kernels) left: usize,
    /// Columns from one window to the next.
    pub(in crate::kernels) stride: usize,
    pub(in crate::kernels) blocks: &'a [ChannelBlock],
    pub(in crate::kernels) y_zero: u8,
}

#[expect(unsafe_code, reason = "the instruction takes an address")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn row<const SIDE: usize, const GROUPS: usize>(
    row: &DepthwiseRow<'_, SIDE>,
    columns: &mut [[Register; GROUPS]],
    out: &mut [u8],
) {
    let requantize = Requantize::to(row.y_zero);
    let transpose = Transpose::new();
    for block in row.blocks {
        interleave(row, block.first, &transpose, &mut columns[row.left..]);
        let packed = block.weights.as_chunks::<GROUPS>().0.first_chunk::<SIDE>();
        let Some(packed) = packed else { return };
        let mut weights = [[_mm512_setzero_si512(); GROUPS]; SIDE];
        for (column, packed) in weights.iter_mut().zip(packed) {
            for (group, packed) in column.iter_mut().zip(packed) {
                *group = load(packed);
            }
        }
        let constants =
            BlockConstants { weights, sums: load(&block.sums), scales: load_floats(&block.scales) };
        let mut start = 0;
        for pixels in out.chunks_mut(QUARTERS * row.channels) {
            let columns = &columns[start..];
            let levels = match pixels.len() / row.channels {
                1 => windows::<SIDE, GROUPS, 1>(&constants, &requantize, columns, row.stride),
                2 => windows::<SIDE, GROUPS, 2>(&constants, &requantize, columns, row.stride),
                3 => windows::<SIDE, GROUPS, 3>(&constants, &requantize, columns, row.stride),
                _ => windows::<SIDE, GROUPS, 4>(&constants, &requantize, columns, row.stride),
            };
            for (pixel, levels) in pixels.chunks_exact_mut(row.channels).zip(quarters(levels)) {
                if let Some(to) = pixel[block.first..].first_chunk_mut::<CHANNELS>() {
                    // SAFETY: there are 16 bytes.
                    unsafe { store_sixteen(to, 0, levels) };
                }
            }
            start += QUARTERS * row.stride;
        }
    }
}

/// The constants of 16 channels, in registers.
struct BlockConstants<const SIDE: usize, const GROUPS: usize> {
    weights: [[__m512i; GROUPS]; SIDE],
    sums: __m512i,
    scales: __m512,
}

/// The levels of 16 channels of `COUNT` windows.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn windows<const SIDE: usize, const GROUPS: usize, const COUNT: usize>(
    block: &BlockConstants<SIDE, GROUPS>,
    requantize: &Requantize,
    columns: &[[Register; GROUPS]],
    stride: usize,
) -> __m512i {
    let columns = &columns[..(COUNT - 1) * stride + SIDE];
    let mut sums = [block.sums; QUARTERS];
    for (number, sums) in sums.iter_mut().enumerate().take(COUNT) {
        let window = &columns[number * stride..][..SIDE];
        for (column, weights) in window.iter().zip(&block.weights) {
            for (levels, weights) in column.iter().zip(weights) {
                *sums = _mm512_dpbusd_epi32(*sums, load(levels), *weights);
            }
        }
    }
    requantize.levels(sums, [block.scales; QUARTERS])
}

/// Interleaves the rows of 16 channels, beginning with channel `first`: four rows of each channel are adjacent.
#[expect(unsafe_code, reason = "checks in the inner loop would cost a fifth of the speed")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn interleave<const SIDE: usize, const GROUPS: usize>(
    row: &DepthwiseRow<'_, SIDE>,
    first: usize,
    transpose: &Transpose,
    columns: &mut [[Register; GROUPS]],
) {
    let columns = &mut columns[..row.width];
    let end = row.width.saturating_sub(1) * row.channels + first + CHANNELS;
    let mut inputs = row.inputs;
    for input in &mut inputs {
        *input = &input[..end];
    }
    let mut place = first;
    for column in columns {
        // SAFETY: the last place is `CHANNELS` before the end of each input.
        let sixteen = |input: &[u8]| unsafe { load_sixteen(input, place) };
        // The weights of a row that the window does not have are zero.
        let fourth = sixteen(inputs[3.min(SIDE - 1)]);
        let rows = [sixteen(inputs[0]), sixteen(inputs[1]), sixteen(inputs[2]), fourth];
        store_register(&mut column[0], transpose.rows(rows));
        if SIDE > TAPS {
            let last = sixteen(inputs[SIDE - 1]);
            store_register(&mut column[GROUPS - 1], _mm512_cvtepu8_epi32(last));
        }
        place += row.channels;
    }
}

/// Constants that transpose matrices of 4×16 bytes.
struct Transpose {
    columns: __m512i,
    bytes: __m512i,
}

impl Transpose {
    /// `black_box` hides the constants from the compiler, which would make five instructions of each of the two.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn new() -> Self {
        let bytes = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        let columns = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        Self { columns: black_box(columns), bytes: black_box(_mm512_broadcast_i32x4(bytes)) }
    }

    /// Four rows of 16 bytes as 16 rows of four.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn rows(&self, [a, b, c, d]: [__m128i; TAPS]) -> __m512i {
        // Registers of 256 bits first: these insertions are faster.
        let [ab, cd] = [_mm256_set_m128i(b, a), _mm256_set_m128i(d, c)];
        let rows = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(ab), cd);
        _mm512_shuffle_epi8(_mm512_permutexvar_epi32(self.columns, rows), self.bytes)
    }
}
