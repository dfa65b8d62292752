//! The inner loop of pointwise convolutions: a product of matrices, in tiles whose sums stay in registers.

use std::arch::x86_64::{__m512i, _mm512_dpbusd_epi32, _mm512_setzero_ps, _mm512_setzero_si512};

use super::super::block::{CHANNELS, Panel, Register, TAPS};
use super::registers::{
    QUARTERS, Requantize, load, load_floats, load_four, quarters, store_all, store_sixteen,
};

/// Maximum number of pixels of a tile. Their sums for a panel, the panel's weights and a pixel's inputs fill 29 of 32 registers.
const PIXELS: usize = 6;

/// Pixels of a pointwise convolution.
pub(in crate::kernels) struct PixelRun<'a> {
    /// uint8 `[pixels, inputs]`.
    pub(in crate::kernels) inputs: &'a [u8],
    /// Channels of the input, a multiple of four.
    pub(in crate::kernels) channels: usize,
    /// Channels of the output.
    pub(in crate::kernels) outputs: usize,
    pub(in crate::kernels) panels: &'a [Panel],
    pub(in crate::kernels) y_zero: u8,
}

/// A panel of `VECTORS` registers for each group of inputs.
struct FixedPanel<'a, const VECTORS: usize> {
    weights: &'a [[Register; VECTORS]],
    sums: &'a [Register; VECTORS],
    scales: &'a [Register; VECTORS],
    /// The first output of each register.
    places: [usize; VECTORS],
    outputs: usize,
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn run(run: &PixelRun<'_>, out: &mut [u8]) {
    for panel in run.panels {
        match panel.sums.len() {
            1 => tiles::<1>(run, panel, out),
            2 => tiles::<2>(run, panel, out),
            3 => tiles::<3>(run, panel, out),
            _ => tiles::<4>(run, panel, out),
        }
    }
}

/// Computes the channels of a panel. Tiles are of almost the same size, because those of one or two pixels read more
/// weights than they compute.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn tiles<const VECTORS: usize>(run: &PixelRun<'_>, panel: &Panel, out: &mut [u8]) {
    let (Some(sums), Some(scales)) = (panel.sums.first_chunk(), panel.scales.first_chunk()) else {
        return;
    };
    let mut places = [panel.first; VECTORS];
    for (vector, place) in places.iter_mut().enumerate() {
        *place += if vector + 1 == VECTORS { panel.last } else { vector * CHANNELS };
    }
    let weights = &panel.weights.as_chunks::<VECTORS>().0[..run.channels / TAPS];
    let panel = FixedPanel { weights, sums, scales, places, outputs: run.outputs };
    let requantize = Requantize::to(run.y_zero);
    let pixels = out.len() / run.outputs;
    let tiles = pixels.div_ceil(PIXELS);
    let (mut inputs, mut out) = (run.inputs, out);
    for tile in 0..tiles {
        let count = (tile + 1) * pixels / tiles - tile * pixels / tiles;
        let (these, others) = inputs.split_at(count * run.channels);
        let (to, behind) = out.split_at_mut(count * run.outputs);
        match count {
            1 => compute::<1, VECTORS>(&panel, &requantize, these, to),
            2 => compute::<2, VECTORS>(&panel, &requantize, these, to),
            3 => compute::<3, VECTORS>(&panel, &requantize, these, to),
            4 => compute::<4, VECTORS>(&panel, &requantize, these, to),
            5 => compute::<5, VECTORS>(&panel, &requantize, these, to),
            _ => compute::<PIXELS, VECTORS>(&panel, &requantize, these, to),
        }
        (inputs, out) = (others, behind);
    }
}

/// Computes the channels of a panel for `COUNT` pixels.
#[expect(unsafe_code, reason = "checks in the inner loop would cost much of the speed")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn compute<const COUNT: usize, const VECTORS: usize>(
    panel: &FixedPanel<'_, VECTORS>,
    requantize: &Requantize,
    inputs: &[u8],
    out: &mut [u8],
) {
    let channels = panel.weights.len() * TAPS;
    let inputs = &inputs[..COUNT * channels];
    let mut sums = [[_mm512_setzero_si512(); VECTORS]; COUNT];
    for sums in &mut sums {
        for (sum, start) in sums.iter_mut().zip(panel.sums) {
            *sum = load(start);
        }
    }
    for (group, packed) in panel.weights.iter().enumerate() {
        let mut weights = [_mm512_setzero_si512(); VECTORS];
        for (weights, packed) in weights.iter_mut().zip(packed) {
            *weights = load(packed);
        }
        for (pixel, sums) in sums.iter_mut().enumerate() {
            // SAFETY: each of `weights` has a group of inputs, so the last one of the last pixel ends with `inputs`.
            let levels = unsafe { load_four(inputs, pixel * channels + group * TAPS) };
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = _mm512_dpbusd_epi32(*sum, levels, weights);
            }
        }
    }
    store(panel, requantize, &sums, out);
}

/// Stores sums as levels. Indices that the compiler knows after unrolling keep the sums in registers.
#[expect(unsafe_code, reason = "with checks, the compiler would not unroll the loops")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn store<const COUNT: usize, const VECTORS: usize>(
    panel: &FixedPanel<'_, VECTORS>,
    requantize: &Requantize,
    sums: &[[__m512i; VECTORS]; COUNT],
    out: &mut [u8],
) {
    let &FixedPanel { places, outputs, .. } = panel;
    let out = &mut out[..COUNT * outputs];
    assert!(places.iter().all(|place| place + CHANNELS <= outputs), "places are within a pixel");
    let is_whole = VECTORS == QUARTERS && places[VECTORS - 1] == places[0] + 3 * CHANNELS;
    let mut scales = [_mm512_setzero_ps(); VECTORS];
    for (scales, packed) in scales.iter_mut().zip(panel.scales) {
        *scales = load_floats(packed);
    }
    // As many pixels as fill a register of levels.
    let together = QUARTERS / VECTORS;
    for first in (0..COUNT).step_by(together) {
        let mut four = [_mm512_setzero_si512(); QUARTERS];
        let mut their_scales = [_mm512_setzero_ps(); QUARTERS];
        for number in 0..together * VECTORS {
            four[number] = sums[(first + number / VECTORS).min(COUNT - 1)][number % VECTORS];
            their_scales[number] = scales[number % VECTORS];
        }
        let levels = requantize.levels(four, their_scales);
        if is_whole {
            // SAFETY: the pixel has the four places, which follow one another.
            unsafe { store_all(out, first * outputs + places[0], levels) };
            continue;
        }
        let quarters = quarters(levels);
        for number in 0..together * VECTORS {
            let pixel = first + number / VECTORS;
            if pixel < COUNT {
                let place = pixel * outputs + places[number % VECTORS];
                // SAFETY: the pixel has this place.
                unsafe { store_sixteen(out, place, quarters[number]) };
            }
        }
    }
}
