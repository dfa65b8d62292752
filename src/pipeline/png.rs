//! PNG encoding.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

/// Encodes uint8 `[height, width, 3]`, RGB, as a PNG; optimised for speed, not size.
///
/// # Errors
///
/// The encoder's error.
pub(super) fn encode(rgb: &[u8], [height, width]: [u32; 2]) -> Result<Vec<u8>, image::ImageError> {
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive)
        .write_image(rgb, width, height, ExtendedColorType::Rgb8)?;
    Ok(png)
}
