//! Converts normalised floats back to pixels.
//!
//! A client of a PyTorch model sends `(pixel / 255 - mean) / std`, with the mean and the standard
//! deviation of the model's card. The graph takes pixels and normalises them itself, so the
//! normalisation is inverted here. Values that do not correspond to integer pixels are rejected
//! instead of rounded.

use crate::http::problem::Problem;
use crate::model::Preprocess;

/// Maximum distance of a value from an integer pixel. It is hundreds of times the rounding error of
/// normalisation in float32, but small enough to detect images that were resized in floating point.
const TOLERANCE: f64 = 0.02;

/// The axis order of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChannelOrder {
    /// `[N, 3, height, width]`.
    ChannelsFirst,
    /// `[N, height, width, 3]`.
    ChannelsLast,
}

/// Converts `raw`, little-endian float32 in `layout`, to pixels, uint8 `[N, height, width, 3]`.
pub(super) fn pixels(
    raw: &[u8],
    layout: ChannelOrder,
    preprocess: &Preprocess,
) -> Result<Vec<u8>, Problem> {
    let (values, _) = raw.as_chunks::<4>();
    let area: usize = preprocess.input.iter().map(|&side| side as usize).product();
    let mut pixels = vec![0; values.len()];
    for (place, bytes) in values.iter().enumerate() {
        let (image, inside) = (place / (area * 3), place % (area * 3));
        let (channel, pixel) = match layout {
            ChannelOrder::ChannelsFirst => (inside / area, inside % area),
            ChannelOrder::ChannelsLast => (inside % 3, inside / 3),
        };
        let value = f32::from_le_bytes(*bytes);
        let (mean, std) = (preprocess.mean[channel], preprocess.std[channel]);
        pixels[(image * area + pixel) * 3 + channel] =
            whole(value, mean, std).ok_or_else(|| not_a_pixel(value, place, [mean, std]))?;
    }
    Ok(pixels)
}

/// The pixel that was normalised to `value`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
fn whole(value: f32, mean: f32, std: f32) -> Option<u8> {
    let pixel = original(value, mean, std);
    let whole = pixel.round();
    ((0.0..=255.0).contains(&whole) && (pixel - whole).abs() <= TOLERANCE).then_some(whole as u8)
}

fn original(value: f32, mean: f32, std: f32) -> f64 {
    (f64::from(value) * f64::from(std) + f64::from(mean)) * 255.0
}

fn not_a_pixel(value: f32, place: usize, [mean, std]: [f32; 2]) -> Problem {
    Problem::invalid_parameter(format!(
        "value {value} at place {place} of input \"input\" would be the pixel {:.2}, which is no \
         whole number from 0 to 255; send (pixel / 255 - {mean}) / {std} of whole pixels, or the pixels \
         themselves as UINT8 in \"pixels\"",
        original(value, mean, std)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pixels_are_restored_from_float32_in_both_layouts() {
        for input in [[32, 32], [224, 224]] {
            let preprocess = Preprocess::default_for(input);
            let area = (input[0] * input[1]) as usize;
            let expected: Vec<u8> = (0..=255).cycle().step_by(7).take(area * 3).collect();
            let normal = |pixel: usize, channel: usize| {
                let value = f32::from(expected[pixel * 3 + channel]) / 255.0;
                (value - preprocess.mean[channel]) / preprocess.std[channel]
            };
            let last = (0..area * 3).map(|place| normal(place / 3, place % 3));
            let first = (0..area * 3).map(|place| normal(place % area, place / area));
            let bytes = |values: &mut dyn Iterator<Item = f32>| -> Vec<u8> {
                values.flat_map(f32::to_le_bytes).collect()
            };
            let last = bytes(&mut { last });
            let first = bytes(&mut { first });
            assert_eq!(pixels(&last, ChannelOrder::ChannelsLast, &preprocess).unwrap(), expected);
            assert_eq!(pixels(&first, ChannelOrder::ChannelsFirst, &preprocess).unwrap(), expected);
        }
    }

    #[test]
    fn values_that_are_not_pixels_are_rejected() {
        let preprocess = Preprocess::default_for([224, 224]);
        for value in [f32::NAN, f32::INFINITY, 0.0, 1.0, 128.0, -3.0] {
            let raw = value.to_le_bytes();
            let problem = pixels(&raw, ChannelOrder::ChannelsLast, &preprocess).unwrap_err();
            assert!(problem.detail().contains("no whole number"), "{value}: {problem:?}");
        }
    }
}
