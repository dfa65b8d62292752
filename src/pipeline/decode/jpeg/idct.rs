//! The inverse DCT of a block of 8×8 frequencies, at full or reduced size.
//!
//! Evaluating the `n` lowest frequencies of a side at `n` positions equals filtering eight pixels and
//! reducing them to `n` (as in libjpeg's scaled decoding).

/// A block's coefficients times [`weight`], by horizontal and then vertical frequency. The entries after the
/// first 64 are never read; coefficients that are not needed can be written there.
pub(super) type Coefficients = [f32; 128];

/// Writes a block's pixels to the start of `to`, whose rows are `stride` long.
pub(super) type Inverse = fn(&Coefficients, to: &mut [u8], stride: usize);

/// The normalisation of a frequency in each direction: 1/√8 for the first, 1/2 for others.
pub(super) fn weight(frequency: usize) -> f32 {
    if frequency == 0 { 0.5 * std::f32::consts::FRAC_1_SQRT_2 } else { 0.5 }
}

/// The transform to a block of `[height, width]` pixels: 1, 2, 4 or 8 each.
pub(super) fn inverse(pixels: [usize; 2]) -> Option<Inverse> {
    Some(match pixels {
        [1, 1] => inverse_to::<1, 1>,
        [1, 2] => inverse_to::<1, 2>,
        [1, 4] => inverse_to::<1, 4>,
        [1, 8] => inverse_to::<1, 8>,
        [2, 1] => inverse_to::<2, 1>,
        [2, 2] => inverse_to::<2, 2>,
        [2, 4] => inverse_to::<2, 4>,
        [2, 8] => inverse_to::<2, 8>,
        [4, 1] => inverse_to::<4, 1>,
        [4, 2] => inverse_to::<4, 2>,
        [4, 4] => inverse_to::<4, 4>,
        [4, 8] => inverse_to::<4, 8>,
        [8, 1] => inverse_to::<8, 1>,
        [8, 2] => inverse_to::<8, 2>,
        [8, 4] => inverse_to::<8, 4>,
        [8, 8] => inverse_to::<8, 8>,
        _ => return None,
    })
}

/// Converts a value to a level; 0 is mid-grey.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate"
)]
pub(super) fn pixel(level: f32) -> u8 {
    (level + 128.5) as u8
}

fn inverse_to<const DOWN: usize, const ACROSS: usize>(
    coefficients: &Coefficients,
    to: &mut [u8],
    stride: usize,
) {
    let mut columns = [[0.0; DOWN]; ACROSS];
    for (column, from) in columns.iter_mut().zip(coefficients.as_chunks::<8>().0) {
        column.copy_from_slice(&from[..DOWN]);
    }
    let columns = along(columns);
    let mut rows = [[0.0; ACROSS]; DOWN];
    for (y, row) in rows.iter_mut().enumerate() {
        for (x, level) in row.iter_mut().enumerate() {
            *level = columns[x][y];
        }
    }
    for (row, to) in along(rows).iter().zip(to.chunks_mut(stride)) {
        for (level, to) in row.iter().zip(to) {
            *to = pixel(*level);
        }
    }
}

/// Transforms `N` frequencies to `N` positions, for `LANES` rows at a time.
#[inline]
fn along<const N: usize, const LANES: usize>(frequencies: [[f32; LANES]; N]) -> [[f32; LANES]; N] {
    let cosines = const { cosines::<N>() };
    let mut places = [[0.0; LANES]; N];
    // Even frequencies are symmetric around the middle, odd ones antisymmetric.
    for near in 0..N.div_ceil(2) {
        let (mut even, mut odd) = ([0.0; LANES], [0.0; LANES]);
        for (frequency, levels) in frequencies.iter().enumerate() {
            let sum = if frequency % 2 == 0 { &mut even } else { &mut odd };
            for lane in 0..LANES {
                sum[lane] += cosines[near][frequency] * levels[lane];
            }
        }
        for lane in 0..LANES {
            places[N - 1 - near][lane] = even[lane] - odd[lane];
            places[near][lane] = even[lane] + odd[lane];
        }
    }
    places
}

/// By position and frequency: cos((2·position + 1)·frequency·π / 2N).
const fn cosines<const N: usize>() -> [[f32; N]; N] {
    let mut table = [[0.0; N]; N];
    let mut place = 0;
    while place < N {
        let mut frequency = 0;
        while frequency < N {
            table[place][frequency] = cosine((2 * place + 1) * frequency * (8 / N));
            frequency += 1;
        }
        place += 1;
    }
    table
}

/// cos(n·π / 16).
const fn cosine(sixteenths: usize) -> f32 {
    const QUARTER: [f32; 9] = [
        1.0,
        0.980_785_25,
        0.923_879_5,
        0.831_469_6,
        0.707_106_77,
        0.555_570_24,
        0.382_683_43,
        0.195_090_32,
        0.0,
    ];
    match sixteenths % 32 {
        n @ 0..=8 => QUARTER[n],
        n @ 9..=16 => -QUARTER[16 - n],
        n @ 17..=24 => -QUARTER[n - 16],
        n => QUARTER[32 - n],
    }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "numbers below 8")]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    /// ITU-T T.81, A.3.3, with `of` positions instead of eight.
    fn by_definition(block: &[[f64; 8]; 8], of: [usize; 2], at: [usize; 2]) -> f64 {
        let side = |frequency: usize, place: usize, of: usize| {
            let first = if frequency == 0 { 0.5_f64.sqrt() } else { 1.0 };
            first * ((2 * place + 1) as f64 * frequency as f64 * PI / (2 * of) as f64).cos() / 2.0
        };
        let mut sum = 0.0;
        for (across, column) in block.iter().enumerate().take(of[1]) {
            for (down, value) in column.iter().enumerate().take(of[0]) {
                sum += value * side(down, at[0], of[0]) * side(across, at[1], of[1]);
            }
        }
        sum
    }

    #[test]
    fn every_size_equals_the_standards_transform_of_the_lowest_frequencies() {
        let mut block = [[0.0; 8]; 8];
        let mut coefficients = [0.0; 128];
        for across in 0..8 {
            for down in 0..8 {
                let value = ((across * 29 + down * 53) % 41) as f32 * 3.0 - 60.0;
                block[across][down] = f64::from(value);
                coefficients[across * 8 + down] = value * weight(across) * weight(down);
            }
        }
        for down in [1, 2, 4, 8] {
            for across in [1, 2, 4, 8] {
                let mut found = [0; 8 * 8];
                inverse([down, across]).unwrap()(&coefficients, &mut found, 8);
                for (y, row) in found.chunks(8).enumerate().take(down) {
                    for (x, found) in row.iter().enumerate().take(across) {
                        let expected = by_definition(&block, [down, across], [y, x]) + 128.0;
                        let difference = (f64::from(*found) - expected.clamp(0.0, 255.0)).abs();
                        assert!(
                            difference <= 0.51,
                            "{down}×{across} at {y}, {x}: {found}, {expected}"
                        );
                    }
                }
            }
        }
        assert!(inverse([3, 4]).is_none());
    }

    #[test]
    fn levels_are_clamped_and_nan_is_black() {
        assert_eq!(
            [-1e30, -128.0, 0.0, 127.4, 1e30, f32::NAN].map(pixel),
            [0, 0, 128, 255, 255, 0]
        );
    }
}
