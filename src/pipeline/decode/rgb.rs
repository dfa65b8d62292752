//! Pixels of any kind become RGB, 8 bits each, on a white ground.

use image::{DynamicImage, RgbImage};

/// Grey is spread to three channels, 16 bits are rounded to 8, and transparency lies over white.
pub(super) fn flatten(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
    let (width, height) = rgba.dimensions();
    let over_white = rgba
        .pixels()
        .flat_map(|pixel| {
            let [red, green, blue, alpha] = pixel.0;
            [red, green, blue].map(|color| blend(color, alpha))
        })
        .collect();
    RgbImage::from_raw(width, height, over_white).expect("three bytes for each pixel")
}

/// `color · α + white · (1 − α)`, rounded to the nearest.
fn blend(color: u8, alpha: u8) -> u8 {
    let (color, alpha) = (u32::from(color), u32::from(alpha));
    u8::try_from((color * alpha + 255 * (255 - alpha) + 127) / 255).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::blend;

    #[test]
    fn opaque_is_kept_transparent_is_white_and_half_is_between() {
        assert_eq!(
            [blend(10, 255), blend(10, 0), blend(0, 128), blend(255, 77)],
            [10, 255, 127, 255]
        );
    }
}
