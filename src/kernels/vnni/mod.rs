//! The inner loops of convolutions, in AVX-512 VNNI.
//!
//! `vpdpbusd` adds four products of uint8 and int8 to each of 16 sums, without saturation.

mod registers; // registers in memory, and sums that become levels
mod depthwise; // one channel in, one out
mod few_channels; // few channels in
mod pointwise; // a window of one pixel

pub(super) use self::depthwise::{DepthwiseRows, INPUT_ROWS};
pub(super) use self::few_channels::{FewChannelsRow, PIXELS};
pub(super) use self::pointwise::PixelRun;

/// Shows by its type that the processor has the instructions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vnni(());

impl Vnni {
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni");
        has.then_some(Self(()))
    }

    /// Computes rows, each uint8 `[W, C]`.
    #[expect(unsafe_code, reason = "the compiler does not know the processor")]
    #[expect(clippy::unused_self, reason = "the value is the proof")]
    pub(super) fn depthwise<
        const SIDE: usize,
        const GROUPS: usize,
        const ROWS: usize,
        const STRIDE: usize,
    >(
        self,
        rows: &DepthwiseRows<'_>,
        out: &mut [&mut [u8]; ROWS],
    ) {
        // SAFETY: `detect` found the instructions.
        unsafe { depthwise::rows::<SIDE, GROUPS, ROWS, STRIDE>(rows, out) }
    }

    /// Computes a row, uint8 `[W, C]`.
    #[expect(unsafe_code, reason = "the compiler does not know the processor")]
    #[expect(clippy::unused_self, reason = "the value is the proof")]
    pub(super) fn few_channels(self, row: &FewChannelsRow<'_>, out: &mut [u8]) {
        // SAFETY: `detect` found the instructions.
        unsafe { few_channels::row(row, out) }
    }

    /// Computes pixels, uint8 `[pixels, C]`.
    #[expect(unsafe_code, reason = "the compiler does not know the processor")]
    #[expect(clippy::unused_self, reason = "the value is the proof")]
    pub(super) fn pointwise(self, run: &PixelRun<'_>, out: &mut [u8]) {
        // SAFETY: `detect` found the instructions.
        unsafe { pointwise::run(run, out) }
    }
}
