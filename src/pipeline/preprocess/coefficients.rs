//! The weights of a row's or column's pixels for each pixel of the resized one, as Pillow computes them
//! (`Resample.c`): in f64, then rounded to 22 bits.

use super::Interpolation;

/// Fractional bits of a weight: of 32 bits, 8 are for a level and 2 for overshoot.
pub(super) const PRECISION: i32 = 32 - 8 - 2;

/// Added before the shift, so that levels are rounded to the nearest.
pub(super) const HALF: i32 = 1 << (PRECISION - 1);

/// Rows that are resized at a time.
pub(super) const ROWS: usize = 4;

/// Bytes of a row that are summed at a time, in registers.
pub(super) const STRIP: usize = 32;

/// How a row or column is resized. Only a part of the new pixels is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    /// Number of source pixels.
    pub(super) length: usize,
    /// The part of them, from start to end, that is resized to `resized` pixels.
    pub(super) span: [f64; 2],
    /// Number of pixels of the whole resized row or column.
    pub(super) resized: u64,
    /// The first of the resized pixels to compute.
    pub(super) first: u64,
    /// Number of pixels to compute.
    pub(super) wanted: usize,
}

/// The source pixels of a resized pixel: its taps begin at `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) first: usize,
    pub(super) count: usize,
}

/// The weights of two pixels, each as `high * 2^SPLIT + low`, so that the parts fit in 16 bits: the first
/// pixel's part in the lower half of each number, the second's in the upper one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) high: i32,
    pub(super) low: i32,
}

/// Bits of a weight's lower part.
pub(super) const SPLIT: i32 = PRECISION / 2;

/// The weights of one window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taps<'a> {
    /// An even number of pairs. Weights after the window's own taps are 0.
    pub(super) pairs: &'a [Pair],
    /// Number of pixels of the window.
    pub(super) count: usize,
}

/// The weights of all pixels to compute.
#[derive(Debug, Default)]
pub(super) struct FilterCoefficients {
    pub(super) windows: Vec<Window>,
    /// `stride` pairs for each resized pixel.
    pairs: Vec<Pair>,
    stride: usize,
    /// The weights of one pixel before rounding.
    exact: Vec<f64>,
}

impl Pair {
    fn new([first, second]: [i32; 2]) -> Self {
        let low = |weight: i32| weight & ((1 << SPLIT) - 1);
        let both = |first: i32, second: i32| (first & 0xFFFF) | (second << 16);
        Self { high: both(first >> SPLIT, second >> SPLIT), low: both(low(first), low(second)) }
    }

    fn weights(self) -> [i32; 2] {
        // The lower parts are not negative.
        let Self { high, low } = self;
        [((high << 16 >> 16) << SPLIT) + (low & 0xFFFF), ((high >> 16) << SPLIT) + (low >> 16)]
    }
}

impl Taps<'_> {
    /// The weights of the pixels of the window.
    pub(super) fn weights(&self) -> impl Iterator<Item = i32> {
        self.pairs.iter().flat_map(|pair| pair.weights()).take(self.count)
    }
}

impl FilterCoefficients {
    /// The weights of the window at `place`, in groups of four taps.
    pub(super) fn taps(&self, place: usize) -> Taps<'_> {
        let count = self.windows[place].count;
        let pairs = &self.pairs[place * self.stride..][..count.div_ceil(4) * 2];
        Taps { pairs, count }
    }

    /// The source pixels that are needed: the first one, and the one after the last.
    pub(super) fn needed(&self) -> [usize; 2] {
        let first = self.windows.iter().map(|window| window.first).min().unwrap_or(0);
        let end = self.windows.iter().map(|window| window.first + window.count).max().unwrap_or(0);
        [first, end]
    }

    /// Computes the weights for `axis`, and reuses the memory of the previous ones.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sides of images are far below 2^53, and casts to whole numbers are C's"
    )]
    pub(super) fn compute(&mut self, axis: &Axis, filter: Interpolation) {
        let [start, end] = axis.span;
        let scale = (end - start) / axis.resized as f64;
        let wider = scale.max(1.0);
        let reach = support(filter) * wider;
        let most = reach.ceil() as usize * 2 + 1;
        self.stride = most.div_ceil(4) * 2;
        self.windows.clear();
        self.pairs.clear();
        self.pairs.resize(self.stride * axis.wanted, Pair::default());
        for (place, pairs) in self.pairs.chunks_exact_mut(self.stride).enumerate() {
            let center = start + ((axis.first + place as u64) as f64 + 0.5) * scale;
            // Negative numbers become 0 here.
            let first = (center - reach + 0.5) as usize;
            let count = ((center + reach + 0.5) as usize).min(axis.length) - first;
            let inverse = 1.0 / wider;
            self.exact.clear();
            self.exact.extend((first..first + count).map(|x| {
                weight(filter, (x as f64 - center + 0.5) * inverse) * inside(x as f64, axis.span)
            }));
            let sum: f64 = self.exact.iter().sum();
            let rounded = |exact: &f64| {
                let share = if sum == 0.0 { *exact } else { exact / sum };
                (share * f64::from(1 << PRECISION) + 0.5_f64.copysign(share)) as i32
            };
            for (pair, exact) in pairs.iter_mut().zip(self.exact.chunks(2)) {
                *pair = Pair::new([0, 1].map(|tap| exact.get(tap).map_or(0, rounded)));
            }
            self.windows.push(Window { first, count });
        }
    }
}

/// The share of the pixel at `x` that belongs to the image. It is 1 except for the last pixel (the first one, if the
/// orientation turned the image) of an image that was decoded at reduced size, which may include padding of the encoder's
/// last block.
fn inside(x: f64, [start, end]: [f64; 2]) -> f64 {
    ((x + 1.0).min(end) - x.max(start)).clamp(0.0, 1.0)
}

/// The radius of a filter, in pixels of the smaller of both images.
fn support(filter: Interpolation) -> f64 {
    match filter {
        Interpolation::Nearest => 0.5,
        Interpolation::Bilinear => 1.0,
        Interpolation::Bicubic => 2.0,
        Interpolation::Lanczos => 3.0,
    }
}

fn weight(filter: Interpolation, x: f64) -> f64 {
    let distance = x.abs();
    match filter {
        Interpolation::Nearest => f64::from(u8::from(x > -0.5 && x <= 0.5)),
        Interpolation::Bilinear => (1.0 - distance).max(0.0),
        Interpolation::Bicubic if distance < 1.0 => {
            ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0
        }
        Interpolation::Bicubic if distance < 2.0 => {
            (((distance - 5.0) * distance + 8.0) * distance - 4.0) * A
        }
        Interpolation::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
        Interpolation::Bicubic | Interpolation::Lanczos => 0.0,
    }
}

/// The bicubic filter's free parameter.
const A: f64 = -0.5;

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_weight_add_up_to_it() {
        for weights in [[0, 1], [-1, 1 << PRECISION], [-600_000, 5_000_000], [2047, -2048]] {
            assert_eq!(Pair::new(weights).weights(), weights);
        }
    }

    /// 1/4, 1/2 or 3/4 of the last pixel belong to the image.
    #[test]
    fn a_pixel_with_padding_is_weighted_by_its_share_of_the_image() {
        for (end, expected) in [(7.25, 0.25), (7.5, 0.5), (7.75, 0.75), (8.0, 1.0)] {
            let axis = Axis { length: 8, span: [0.0, end], resized: 1, first: 0, wanted: 1 };
            let mut coefficients = FilterCoefficients::default();
            coefficients.compute(&axis, Interpolation::Bilinear);
            let weights: Vec<f64> = coefficients.taps(0).weights().map(f64::from).collect();
            assert_eq!(weights.len(), 8);
            // The window is symmetric, except for the part outside of the image.
            let reach = end / 2.0;
            let whole = |x: f64| 1.0 - (x + 0.5 - reach).abs() / end;
            let found = weights[7] / weights[0] * whole(0.0) / whole(7.0);
            assert!((found - expected).abs() < 1e-3, "{end}: {found} is not {expected}");
        }
    }
}
