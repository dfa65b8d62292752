//! Draws a class activation map over its image.

use super::{ClassMap, Explanation};
use crate::pipeline::preprocess::Crop;

/// Opacity at the largest value.
const OPACITY: f32 = 0.7;

/// Colours from weak to strong, RGB: violet, red, orange, yellow. Lightness increases, so that they can be
/// distinguished without colour vision.
const COLOURS: [[f32; 3]; 4] =
    [[90.0, 20.0, 130.0], [200.0, 40.0, 80.0], [250.0, 140.0, 30.0], [255.0, 240.0, 130.0]];

/// Draws `map` over the part of the image that the network's input shows; the rest is unchanged.
///
/// `rgb` is uint8 `[height, width, 3]`. Locations whose contribution is zero or negative are not coloured.
/// Colours are relative to the largest value in this map or in the most probable class's, whichever is
/// larger, so that the map of an improbable class looks weak.
pub(super) fn draw(
    rgb: &mut [u8],
    [height, width]: [u32; 2],
    map: &ClassMap,
    explanation: &Explanation,
) {
    let Crop { left, top, width: crop_width, height: crop_height } = explanation.crop;
    let columns = between(width, left, crop_width, map.width);
    let rows = between(height, top, crop_height, map.height);
    let strong = explanation.strong.max(map.strongest());
    if strong <= 0.0 {
        return;
    }
    let shades = shades();
    let row_bytes = width as usize * 3;
    for row in &rows {
        let (above, below) = (row.first * map.width, row.second * map.width);
        let line = &mut rgb[row.pixel * row_bytes..][..row_bytes];
        for column in &columns {
            let at = |line: usize| {
                let [a, b] = [column.first, column.second].map(|place| map.values[line + place]);
                a + (b - a) * column.part
            };
            let value = at(above) + (at(below) - at(above)) * row.part;
            let (opacity, colour) = shades[level(value / strong)];
            for (channel, tint) in line[column.pixel * 3..][..3].iter_mut().zip(colour) {
                *channel = mixed(f32::from(*channel), tint, opacity);
            }
        }
    }
}

/// Interpolation position of one pixel between two values of the map.
struct Between {
    pixel: usize,
    first: usize,
    second: usize,
    /// Weight of the second value, 0 to 1.
    part: f32,
}

/// Interpolation positions of all pixels whose centre is in the crop, which starts at `start`, is `length`
/// long and has `places` evenly spaced values.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "positions are small and not negative, and a part is between 0 and 1"
)]
fn between(side: u32, start: f64, length: f64, places: usize) -> Vec<Between> {
    (0..side)
        .map(|pixel| (pixel, f64::from(pixel) + 0.5 - start))
        .filter(|(_, inside)| (0.0..length).contains(inside))
        .map(|(pixel, inside)| {
            let last = (places - 1) as f64;
            let place = (inside / length * places as f64 - 0.5).clamp(0.0, last);
            let first = place.floor();
            let second = (first + 1.0).min(last);
            let part = (place - first) as f32;
            Between { pixel: pixel as usize, first: first as usize, second: second as usize, part }
        })
        .collect()
}

/// Opacity and colour for each of 256 strengths.
fn shades() -> Vec<(f32, [f32; 3])> {
    (0..=255_u8)
        .map(|level| {
            let strength = f32::from(level) / 255.0;
            (OPACITY * strength.powf(0.75), colour(strength))
        })
        .collect()
}

/// Interpolates between two of the colours, which are evenly spaced from 0 to 1.
fn colour(strength: f32) -> [f32; 3] {
    let [a, b, c, d] = COLOURS;
    let place = strength * 3.0;
    let (from, to, part) = match place {
        ..1.0 => (a, b, place),
        1.0..2.0 => (b, c, place - 1.0),
        _ => (c, d, place - 2.0),
    };
    std::array::from_fn(|channel| from[channel] + (to[channel] - from[channel]) * part)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
fn level(strength: f32) -> usize {
    (strength.clamp(0.0, 1.0) * 255.0).round() as usize
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
fn mixed(under: f32, over: f32, opacity: f32) -> u8 {
    (under + (over - under) * opacity).round() as u8
}
