//! The inner loops of convolutions, in AVX-512 VNNI.
//!
//! `vpdpbusd` adds four products of uint8 and int8 to each of 16 sums, without saturation.

use std::arch::x86_64::{
    __m128i, __m512, __m512i, _mm_loadu_si128, _mm_setr_epi8, _mm_storeu_si128, _mm256_set_m128i,
    _mm512_add_epi32, _mm512_broadcast_i32x4, _mm512_castsi256_si512, _mm512_castsi512_ps,
    _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32, _mm512_cvtps_epi32, _mm512_cvtusepi32_epi8,
    _mm512_dpbusd_epi32, _mm512_inserti64x4, _mm512_load_si512, _mm512_max_epi32, _mm512_min_ps,
    _mm512_mul_ps, _mm512_permutexvar_epi32, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setr_epi32,
    _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_store_si512,
};
use std::array;
use std::hint::black_box;

use super::block::{CHANNELS, ChannelBlock, Register, TAPS};

/// Windows of a [`NarrowRow`] that are computed together.
pub(super) const PIXELS: usize = 4;

/// Proof that the processor has the instructions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vnni(());

/// One row of the output of a depthwise convolution.
pub(super) struct DepthwiseRow<'a, const SIDE: usize> {
    /// The rows of the image that the window covers, uint8 `[W, C]`.
    pub(super) inputs: [&'a [u8]; SIDE],
    /// C.
    pub(super) channels: usize,
    /// W.
    pub(super) width: usize,
    /// Columns before those of the image.
    pub(super) left: usize,
    /// Columns from one window to the next.
    pub(super) stride: usize,
    pub(super) blocks: &'a [ChannelBlock],
    pub(super) y_zero: u8,
}

/// One row of the output of a convolution of few channels.
pub(super) struct NarrowRow<'a> {
    /// The padded rows that the window covers, one after the other.
    pub(super) inputs: &'a [u8],
    /// Bytes of each.
    pub(super) length: usize,
    /// Groups of four bytes in a row of the window.
    pub(super) groups: usize,
    /// Bytes from one window to the next.
    pub(super) step: usize,
    /// Channels of the output.
    pub(super) outputs: usize,
    pub(super) blocks: &'a [ChannelBlock],
    pub(super) y_zero: u8,
}

impl Vnni {
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni");
        has.then_some(Self(()))
    }

    /// Computes a row, uint8 `[W, C]`. `columns` has all columns of the padded input; those of the padding must have
    /// the level of zero.
    #[expect(unsafe_code, reason = "the compiler does not know the processor")]
    #[expect(clippy::unused_self, reason = "the value is the proof")]
    pub(super) fn depthwise<const SIDE: usize, const GROUPS: usize>(
        self,
        row: &DepthwiseRow<'_, SIDE>,
        columns: &mut [[Register; GROUPS]],
        out: &mut [u8],
    ) {
        // SAFETY: `detect` found the instructions.
        unsafe { depthwise(row, columns, out) }
    }

    /// Computes a row, uint8 `[W, C]`.
    #[expect(unsafe_code, reason = "the compiler does not know the processor")]
    #[expect(clippy::unused_self, reason = "the value is the proof")]
    pub(super) fn narrow(self, row: &NarrowRow<'_>, out: &mut [u8]) {
        // SAFETY: `detect` found the instructions.
        unsafe { narrow(row, out) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn depthwise<const SIDE: usize, const GROUPS: usize>(
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
        let sums = load(&block.sums);
        let scales = _mm512_castsi512_ps(load(&block.scales));
        for (number, pixel) in out.chunks_exact_mut(row.channels).enumerate() {
            let window = &columns[number * row.stride..][..SIDE];
            let mut sums = sums;
            for (column, weights) in window.iter().zip(&weights) {
                for (levels, weights) in column.iter().zip(weights) {
                    sums = _mm512_dpbusd_epi32(sums, load(levels), *weights);
                }
            }
            if let Some(to) = pixel[block.first..].first_chunk_mut() {
                store(to, requantize.levels(sums, scales));
            }
        }
    }
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

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn narrow(row: &NarrowRow<'_>, out: &mut [u8]) {
    let mut start = 0;
    for pixels in out.chunks_mut(PIXELS * row.outputs) {
        let (pairs, last) = row.blocks.as_chunks::<2>();
        for blocks in pairs {
            narrow_pixels(row, start, blocks, pixels);
        }
        for block in last {
            narrow_pixels(row, start, array::from_ref(block), pixels);
        }
        start += PIXELS * row.step;
    }
}

/// Computes the channels of some blocks for some pixels; `start` is the place of the first window in a row.
#[expect(unsafe_code, reason = "checks in the inner loop would cost a fifth of the speed")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn narrow_pixels<const BLOCKS: usize>(
    row: &NarrowRow<'_>,
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
    for (pixel, sums) in pixels.chunks_exact_mut(row.outputs).zip(sums) {
        for (sum, block) in sums.into_iter().zip(blocks) {
            let scales = _mm512_castsi512_ps(load(&block.scales));
            if let Some(to) = pixel[block.first..].first_chunk_mut() {
                store(to, requantize.levels(sum, scales));
            }
        }
    }
}

/// Constants that turn sums into levels.
struct Requantize {
    zero: __m512i,
    largest: __m512,
}

impl Requantize {
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn to(y_zero: u8) -> Self {
        Self {
            zero: _mm512_set1_epi32(y_zero.into()),
            largest: _mm512_set1_ps(f32::from(u8::MAX - y_zero)),
        }
    }

    /// 16 sums as levels. The conversion to integers rounds ties to even, and makes very small values the smallest
    /// integer; it would do the same to very large ones.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn levels(&self, sums: __m512i, scales: __m512) -> __m128i {
        let exact = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scales);
        let steps = _mm512_cvtps_epi32(_mm512_min_ps(exact, self.largest));
        let levels = _mm512_add_epi32(steps, self.zero);
        _mm512_cvtusepi32_epi8(_mm512_max_epi32(levels, _mm512_setzero_si512()))
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

/// 16 bytes of an input, which must have so many at this place.
#[expect(unsafe_code, reason = "the instruction takes an address")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn load_sixteen(input: &[u8], place: usize) -> __m128i {
    debug_assert!(place + CHANNELS <= input.len());
    // SAFETY: the caller has checked the length, and the instruction reads at any address.
    unsafe { _mm_loadu_si128(input.as_ptr().add(place).cast()) }
}

/// Four bytes of an input, which must have so many at this place, repeated 16 times.
#[expect(unsafe_code, reason = "the instruction takes an address")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn load_four(input: &[u8], place: usize) -> __m512i {
    debug_assert!(place + TAPS <= input.len());
    // SAFETY: the caller has checked the length.
    _mm512_set1_epi32(unsafe { input.as_ptr().add(place).cast::<i32>().read_unaligned() })
}

#[expect(unsafe_code, reason = "the instruction takes an address")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn store(to: &mut [u8; CHANNELS], levels: __m128i) {
    // SAFETY: the reference is to 16 bytes, and the instruction writes so many at any address.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), levels) }
}

#[expect(unsafe_code, reason = "the instruction takes an address")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn load(register: &Register) -> __m512i {
    // SAFETY: a `Register` has the 64 bytes that the instruction reads, and their alignment.
    unsafe { _mm512_load_si512(register.0.as_ptr().cast()) }
}

#[expect(unsafe_code, reason = "the instruction takes an address")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn store_register(to: &mut Register, value: __m512i) {
    // SAFETY: a `Register` has the 64 bytes that the instruction writes, and their alignment.
    unsafe { _mm512_store_si512(to.0.as_mut_ptr().cast(), value) }
}
