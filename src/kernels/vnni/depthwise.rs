//! The inner loop of depthwise convolutions.

use std::arch::x86_64::{
    __m128i, __m512, __m512i, _mm_setr_epi8, _mm256_set_m128i, _mm512_add_epi32,
    _mm512_broadcast_i32x4, _mm512_castsi256_si512, _mm512_cvtepu8_epi32, _mm512_dpbusd_epi32,
    _mm512_inserti64x4, _mm512_permutexvar_epi32, _mm512_set1_epi8, _mm512_setr_epi32,
    _mm512_setzero_si512, _mm512_shuffle_epi8,
};
use std::hint::black_box;

use super::super::block::{CHANNELS, ChannelBlock, TAPS};
use super::registers::{
    QUARTERS, Requantize, load, load_floats, load_sixteen, quarters, store_sixteen,
};

/// Maximum number of image rows that are read at once.
pub(in crate::kernels) const INPUT_ROWS: usize = 5;

/// Rows of the output of a depthwise convolution that are computed from the same rows of the input.
pub(in crate::kernels) struct DepthwiseRows<'a> {
    /// The rows of the image, uint8 `[W, C]`. Rows beyond the windows may be any.
    pub(in crate::kernels) inputs: [&'a [u8]; INPUT_ROWS],
    /// Number of channels, C.
    pub(in crate::kernels) channels: usize,
    /// Columns of the image, W.
    pub(in crate::kernels) width: usize,
    /// Columns of padding on the left.
    pub(in crate::kernels) left: usize,
    /// For each row of the output, each column of the window and each four rows of the input, a register of weights.
    pub(in crate::kernels) blocks: &'a [ChannelBlock],
    pub(in crate::kernels) x_zero: u8,
    pub(in crate::kernels) y_zero: u8,
}

/// Windows of `SIDE` columns, from `4 · GROUPS` rows of the input for `ROWS` rows of the output, with a distance of
/// `STRIDE` columns.
struct Strip<'a, const SIDE: usize, const GROUPS: usize, const ROWS: usize, const STRIDE: usize> {
    rows: &'a DepthwiseRows<'a>,
    inputs: [&'a [u8]; INPUT_ROWS],
    first: usize,
    transpose: Transpose,
    requantize: Requantize,
    weights: [[[__m512i; GROUPS]; SIDE]; ROWS],
    sums: __m512i,
    scales: __m512,
    outside: __m512i,
}

/// Computes rows, each uint8 `[W, C]`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn rows<
    const SIDE: usize,
    const GROUPS: usize,
    const ROWS: usize,
    const STRIDE: usize,
>(
    rows: &DepthwiseRows<'_>,
    out: &mut [&mut [u8]; ROWS],
) {
    for block in rows.blocks {
        let strip = Strip::<SIDE, GROUPS, ROWS, STRIDE>::new(rows, block);
        strip.compute(out);
    }
}

impl<'a, const SIDE: usize, const GROUPS: usize, const ROWS: usize, const STRIDE: usize>
    Strip<'a, SIDE, GROUPS, ROWS, STRIDE>
{
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    fn new(rows: &'a DepthwiseRows<'a>, block: &ChannelBlock) -> Self {
        let end = rows.width.saturating_sub(1) * rows.channels + block.first + CHANNELS;
        let mut inputs = rows.inputs;
        for input in &mut inputs {
            *input = &input[..end];
        }
        let mut weights = [[[_mm512_setzero_si512(); GROUPS]; SIDE]; ROWS];
        let mut packed = block.weights.iter();
        for group in weights.as_flattened_mut().as_flattened_mut() {
            if let Some(packed) = packed.next() {
                *group = load(packed);
            }
        }
        Self {
            rows,
            inputs,
            first: block.first,
            transpose: Transpose::new(),
            requantize: Requantize::to(rows.y_zero),
            weights,
            sums: load(&block.sums),
            scales: load_floats(&block.scales),
            outside: _mm512_set1_epi8(rows.x_zero.cast_signed()),
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    fn compute(&self, out: &mut [&mut [u8]; ROWS]) {
        let windows = out[0].len() / self.rows.channels;
        let mut window = [[self.outside; GROUPS]; SIDE];
        for column in 0..SIDE - STRIDE {
            window[STRIDE + column] = self.column(column);
        }
        let mut start = 0;
        while start + QUARTERS <= windows {
            self.windows::<QUARTERS>(&mut window, start, out);
            start += QUARTERS;
        }
        match windows - start {
            1 => self.windows::<1>(&mut window, start, out),
            2 => self.windows::<2>(&mut window, start, out),
            3 => self.windows::<3>(&mut window, start, out),
            _ => {}
        }
    }

    /// Computes `COUNT` windows of each row.
    #[expect(unsafe_code, reason = "the instruction takes an address")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    fn windows<const COUNT: usize>(
        &self,
        window: &mut [[__m512i; GROUPS]; SIDE],
        start: usize,
        out: &mut [&mut [u8]; ROWS],
    ) {
        let mut sums = [[self.sums; QUARTERS]; ROWS];
        for number in 0..COUNT {
            for column in 0..SIDE - STRIDE {
                window[column] = window[column + STRIDE];
            }
            let next = (start + number) * STRIDE + SIDE - STRIDE;
            for column in 0..STRIDE {
                window[SIDE - STRIDE + column] = self.column(next + column);
            }
            for (sums, weights) in sums.iter_mut().zip(&self.weights) {
                // A sum for each group first, because an instruction waits for the sum before it.
                let mut parts = [_mm512_setzero_si512(); GROUPS];
                parts[0] = self.sums;
                for (levels, weights) in window.iter().zip(weights) {
                    for (part, (levels, weights)) in
                        parts.iter_mut().zip(levels.iter().zip(weights))
                    {
                        *part = _mm512_dpbusd_epi32(*part, *levels, *weights);
                    }
                }
                sums[number] = parts[0];
                for part in &parts[1..] {
                    sums[number] = _mm512_add_epi32(sums[number], *part);
                }
            }
        }
        let channels = self.rows.channels;
        for (out, sums) in out.iter_mut().zip(sums) {
            let out = &mut out[start * channels..][..COUNT * channels];
            assert!(self.first + CHANNELS <= channels, "the block is within a pixel");
            let levels = quarters(self.requantize.levels(sums, [self.scales; QUARTERS]));
            for (number, levels) in levels.into_iter().enumerate().take(COUNT) {
                // SAFETY: the pixel has the block.
                unsafe { store_sixteen(out, number * channels + self.first, levels) };
            }
        }
    }

    /// A column of the padded input: four rows of each channel are adjacent.
    #[expect(unsafe_code, reason = "checks in the inner loop would cost a fifth of the speed")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    fn column(&self, column: usize) -> [__m512i; GROUPS] {
        let mut groups = [self.outside; GROUPS];
        let column = column.wrapping_sub(self.rows.left);
        if column < self.rows.width {
            let place = column * self.rows.channels + self.first;
            // SAFETY: the place in the last column is `CHANNELS` before the end of each input.
            let sixteen = |input: &[u8]| unsafe { load_sixteen(input, place) };
            let [first, second, third, fourth, fifth] = self.inputs.map(sixteen);
            groups[0] = self.transpose.rows([first, second, third, fourth]);
            if GROUPS > 1 {
                groups[GROUPS - 1] = _mm512_cvtepu8_epi32(fifth);
            }
        }
        groups
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
    #[inline]
    fn rows(&self, [a, b, c, d]: [__m128i; TAPS]) -> __m512i {
        // Registers of 256 bits first: these insertions are faster.
        let [ab, cd] = [_mm256_set_m128i(b, a), _mm256_set_m128i(d, c)];
        let rows = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(ab), cd);
        _mm512_shuffle_epi8(_mm512_permutexvar_epi32(self.columns, rows), self.bytes)
    }
}
