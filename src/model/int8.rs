//! Whether this processor multiplies int8 exactly at full speed.

/// Why int8 is not taken here without being asked for; `None` where it is exact and fast.
///
/// x86 without VNNI adds pairs of products of uint8 and int8 in 16 bits, which saturate (Intel's
/// manual on `VPMADDUBSW`), so that strong activations are cut off. There sessions use unsigned weights,
/// whose sums are exact and take more instructions. ARM's instructions do not saturate.
#[must_use]
pub fn why_not() -> Option<&'static str> {
    (!is_exact()).then_some("this processor has no VNNI, without which exact int8 sums are slow")
}

#[cfg(target_arch = "x86_64")]
fn is_exact() -> bool {
    is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni")
}

#[cfg(not(target_arch = "x86_64"))]
fn is_exact() -> bool {
    true
}
