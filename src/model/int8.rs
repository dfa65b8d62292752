//! Whether this processor has fast and exact int8 instructions.

/// Why int8 is not the default on this processor; `None` if it is exact and fast.
///
/// x86 without VNNI adds pairs of uint8 × int8 products in 16 bits, which saturate (Intel's manual on
/// `VPMADDUBSW`), so that strong activations are clipped. There sessions use unsigned weights, whose sums are
/// exact but take more instructions. ARM's instructions do not saturate.
#[must_use]
pub fn why_not() -> Option<&'static str> {
    (!is_exact()).then_some("this processor has no VNNI, and exact int8 sums are slow without it")
}

#[cfg(target_arch = "x86_64")]
fn is_exact() -> bool {
    is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni")
}

#[cfg(not(target_arch = "x86_64"))]
fn is_exact() -> bool {
    true
}
