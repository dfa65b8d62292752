//! Operations that the inner loops share: loading and storing registers, and requantizing sums to levels.

use std::arch::x86_64::{
    __m128i, __m512, __m512i, _mm_loadu_si128, _mm_storeu_si128, _mm512_adds_epi16,
    _mm512_castsi512_ps, _mm512_castsi512_si128, _mm512_cvtepi32_ps, _mm512_cvtps_epi32,
    _mm512_extracti32x4_epi32, _mm512_load_si512, _mm512_mul_ps, _mm512_packs_epi32,
    _mm512_packus_epi16, _mm512_permutexvar_epi32, _mm512_set1_epi16, _mm512_set1_epi32,
    _mm512_setr_epi32, _mm512_setzero_si512, _mm512_storeu_si512,
};
use std::hint::black_box;

use super::super::block::{CHANNELS, Register, TAPS};

/// Registers of sums that become one register of levels.
pub(super) const QUARTERS: usize = 4;

/// Constants that requantize sums to levels.
pub(super) struct Requantize {
    zeros: __m512i,
    order: __m512i,
}

impl Requantize {
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn to(y_zero: u8) -> Self {
        let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        Self { zeros: _mm512_set1_epi16(y_zero.into()), order: black_box(order) }
    }

    /// Four times 16 sums as levels, in the same order. The scales are less than one, so that each product is in the
    /// range of int32.
    ///
    /// The conversion to integers rounds ties to even. Both steps of packing saturate: to int16, then to uint8.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    pub(super) fn levels(&self, sums: [__m512i; QUARTERS], scales: [__m512; QUARTERS]) -> __m512i {
        let mut steps = [_mm512_setzero_si512(); QUARTERS];
        for (steps, (sums, scales)) in steps.iter_mut().zip(sums.into_iter().zip(scales)) {
            *steps = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), scales));
        }
        let [a, b, c, d] = steps;
        let first = _mm512_adds_epi16(_mm512_packs_epi32(a, b), self.zeros);
        let second = _mm512_adds_epi16(_mm512_packs_epi32(c, d), self.zeros);
        // Packing works within 128 bits, so four levels of each of `a` to `d` follow one another.
        _mm512_permutexvar_epi32(self.order, _mm512_packus_epi16(first, second))
    }
}

/// Four times 16 levels.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
pub(super) fn quarters(levels: __m512i) -> [__m128i; QUARTERS] {
    [
        _mm512_castsi512_si128(levels),
        _mm512_extracti32x4_epi32::<1>(levels),
        _mm512_extracti32x4_epi32::<2>(levels),
        _mm512_extracti32x4_epi32::<3>(levels),
    ]
}

/// 16 bytes of an input at this offset, which must have at least 16 there.
#[expect(unsafe_code, reason = "the instruction takes an address")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
pub(super) unsafe fn load_sixteen(input: &[u8], place: usize) -> __m128i {
    debug_assert!(place + CHANNELS <= input.len());
    // SAFETY: the caller has checked the length, and the instruction reads at any address.
    unsafe { _mm_loadu_si128(input.as_ptr().add(place).cast()) }
}

/// Four bytes of an input, which must have at least four there, repeated 16 times.
#[expect(unsafe_code, reason = "the instruction takes an address")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
pub(super) unsafe fn load_four(input: &[u8], place: usize) -> __m512i {
    debug_assert!(place + TAPS <= input.len());
    // SAFETY: the caller has checked the length.
    _mm512_set1_epi32(unsafe { input.as_ptr().add(place).cast::<i32>().read_unaligned() })
}

/// Stores 16 levels at this offset of an output, which must have at least 16 there.
#[expect(unsafe_code, reason = "the instruction takes an address")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
pub(super) unsafe fn store_sixteen(out: &mut [u8], place: usize, levels: __m128i) {
    debug_assert!(place + CHANNELS <= out.len());
    // SAFETY: the caller has checked the length, and the instruction writes at any address.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().add(place).cast(), levels) }
}

/// Stores 64 levels at this offset of an output, which must have at least 64 there.
#[expect(unsafe_code, reason = "the instruction takes an address")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
pub(super) unsafe fn store_all(out: &mut [u8], place: usize, levels: __m512i) {
    debug_assert!(place + QUARTERS * CHANNELS <= out.len());
    // SAFETY: the caller has checked the length, and the instruction writes at any address.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(place).cast(), levels) }
}

#[expect(unsafe_code, reason = "the instruction takes an address")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
pub(super) fn load(register: &Register) -> __m512i {
    // SAFETY: a `Register` has the 64 bytes that the instruction reads, and their alignment.
    unsafe { _mm512_load_si512(register.0.as_ptr().cast()) }
}

/// 16 float32.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
pub(super) fn load_floats(register: &Register) -> __m512 {
    _mm512_castsi512_ps(load(register))
}
