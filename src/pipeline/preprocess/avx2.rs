//! Both passes of a resize with AVX2. The result is bit-identical to that of the portable code.
//!
//! AVX2 multiplies 16-bit integers faster than 32-bit ones, so each weight is split into two parts
//! ([`Pair`]). The sums for each part are exact, and are combined at the end.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_extract_epi64, _mm256_madd_epi16, _mm256_packs_epi32,
    _mm256_packus_epi16, _mm256_set_epi64x, _mm256_set1_epi32, _mm256_setr_epi8,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_srai_epi32,
    _mm256_unpackhi_epi8, _mm256_unpacklo_epi8,
};

use super::coefficients::{FilterCoefficients, HALF, PRECISION, Pair, ROWS, SPLIT, STRIP, Taps};

/// Bytes of four pixels, for which [`LOADED`] bytes are read.
const BLOCK: usize = 12;
const LOADED: usize = 16;

/// Eight sums of products, for the upper and the lower parts of weights.
#[derive(Clone, Copy)]
struct Sums {
    high: __m256i,
    low: __m256i,
}

impl Sums {
    #[target_feature(enable = "avx2")]
    fn new() -> Self {
        Self { high: _mm256_setzero_si256(), low: _mm256_set1_epi32(HALF) }
    }

    /// Adds the products of eight pairs of levels, each of 16 bits, and a pair of weights.
    #[target_feature(enable = "avx2")]
    fn add(&mut self, levels: __m256i, weights: &LaneWeights) {
        self.high = _mm256_add_epi32(self.high, _mm256_madd_epi16(levels, weights.high));
        self.low = _mm256_add_epi32(self.low, _mm256_madd_epi16(levels, weights.low));
    }

    /// The levels, before they are clamped to 0 and 255.
    #[target_feature(enable = "avx2")]
    fn levels(self) -> __m256i {
        let sum = _mm256_add_epi32(_mm256_slli_epi32::<SPLIT>(self.high), self.low);
        _mm256_srai_epi32::<PRECISION>(sum)
    }
}

/// The weights, repeated in every lane.
struct LaneWeights {
    high: __m256i,
    low: __m256i,
}

impl LaneWeights {
    #[target_feature(enable = "avx2")]
    fn of(pair: Pair) -> Self {
        Self { high: _mm256_set1_epi32(pair.high), low: _mm256_set1_epi32(pair.low) }
    }
}

/// 16 bytes of one row, and 16 of another.
#[target_feature(enable = "avx2")]
fn of_two(below: &[u8], above: &[u8]) -> __m256i {
    let half = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
    _mm256_set_epi64x(half(&above[8..]), half(above), half(&below[8..]), half(below))
}

/// Like `convolve::shorten_anywhere`. Each source must have 16 bytes after its pixels.
#[target_feature(enable = "avx2")]
pub(super) fn shorten(
    sources: &[&[u8]; ROWS],
    across: &FilterCoefficients,
    to: &mut [u8],
    stride: usize,
) {
    // The first two and the last two of four pixels, with the levels of each channel adjacent, as 16 bits.
    #[rustfmt::skip]
    let first = _mm256_setr_epi8(
        0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,
        0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,
    );
    #[rustfmt::skip]
    let second = _mm256_setr_epi8(
        6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
        6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
    );
    let (to_0, rest) = to.split_at_mut(stride);
    let (to_1, rest) = rest.split_at_mut(stride);
    let (to_2, rest) = rest.split_at_mut(stride);
    let to_3 = &mut rest[..stride];
    // Slices of equal length, so that bounds are checked once.
    let [of_0, of_1, of_2, of_3] = sources;
    let length = of_0.len();
    let (of_1, of_2, of_3) = (&of_1[..length], &of_2[..length], &of_3[..length]);
    for (x, window) in across.windows.iter().enumerate() {
        let (mut upper, mut lower) = (Sums::new(), Sums::new());
        let mut at = window.first * 3;
        for [left, right] in across.taps(x).pairs.as_chunks::<2>().0 {
            let range = at..at + LOADED;
            if range.end > length {
                break; // never: the source has enough bytes
            }
            let (left, right) = (LaneWeights::of(*left), LaneWeights::of(*right));
            let bytes = of_two(&of_0[range.clone()], &of_1[range.clone()]);
            upper.add(_mm256_shuffle_epi8(bytes, first), &left);
            upper.add(_mm256_shuffle_epi8(bytes, second), &right);
            let bytes = of_two(&of_2[range.clone()], &of_3[range]);
            lower.add(_mm256_shuffle_epi8(bytes, first), &left);
            lower.add(_mm256_shuffle_epi8(bytes, second), &right);
            at += BLOCK;
        }
        let levels = _mm256_packs_epi32(upper.levels(), lower.levels());
        let levels = _mm256_packus_epi16(levels, levels);
        let even = _mm256_extract_epi64::<0>(levels).to_le_bytes();
        let odd = _mm256_extract_epi64::<2>(levels).to_le_bytes();
        let range = x * 3..x * 3 + 4;
        if range.end > stride {
            break; // never: there is a byte after the last pixel
        }
        to_0[range.clone()].copy_from_slice(&even[..4]);
        to_1[range.clone()].copy_from_slice(&odd[..4]);
        to_2[range.clone()].copy_from_slice(&even[4..]);
        to_3[range].copy_from_slice(&odd[4..]);
    }
}

/// Like `convolve::merge_anywhere`.
#[target_feature(enable = "avx2")]
pub(super) fn merge(rows: &[u8], stride: usize, taps: Taps<'_>, to: &mut [u8]) {
    let zero = _mm256_setzero_si256();
    let rows = &rows[..stride * taps.count];
    for (strip, to) in to.chunks_mut(STRIP).enumerate() {
        let [mut a, mut b, mut c, mut d] = [Sums::new(); 4];
        for (two, pair) in rows.chunks(stride * 2).zip(taps.pairs) {
            let weights = LaneWeights::of(*pair);
            let (above, below) = two.split_at(stride);
            let above = of_one(&above[strip * STRIP..][..STRIP]);
            // With an odd number of rows, the last one has no partner.
            let below = match below.get(strip * STRIP..(strip + 1) * STRIP) {
                Some(below) => of_one(below),
                None => zero,
            };
            let first = _mm256_unpacklo_epi8(above, below);
            a.add(_mm256_unpacklo_epi8(first, zero), &weights);
            b.add(_mm256_unpackhi_epi8(first, zero), &weights);
            let second = _mm256_unpackhi_epi8(above, below);
            c.add(_mm256_unpacklo_epi8(second, zero), &weights);
            d.add(_mm256_unpackhi_epi8(second, zero), &weights);
        }
        let [first, second] = [
            _mm256_packs_epi32(a.levels(), b.levels()),
            _mm256_packs_epi32(c.levels(), d.levels()),
        ];
        let levels = bytes_of(_mm256_packus_epi16(first, second));
        to.copy_from_slice(&levels[..to.len()]);
    }
}

#[target_feature(enable = "avx2")]
fn of_one(bytes: &[u8]) -> __m256i {
    of_two(&bytes[..LOADED], &bytes[LOADED..])
}

#[target_feature(enable = "avx2")]
fn bytes_of(levels: __m256i) -> [u8; STRIP] {
    let mut bytes = [0; STRIP];
    let parts = [
        _mm256_extract_epi64::<0>(levels),
        _mm256_extract_epi64::<1>(levels),
        _mm256_extract_epi64::<2>(levels),
        _mm256_extract_epi64::<3>(levels),
    ];
    for (to, part) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(parts) {
        *to = part.to_le_bytes();
    }
    bytes
}
