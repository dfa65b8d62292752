//! Bytes become an upright RGB image: tell the format, check the header, decode, orient, flatten.
//!
//! [`inspect`] reads only the header, so that what decoding would cost is known before it is spent.

mod complete; // is the file all there
mod error;
mod format; // which format, by content
mod rgb; // any pixels → RGB on white

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageReader};

pub use error::DecodeError;
pub use format::Format;

/// What one upload may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the upload.
    pub max_bytes: usize,
    /// Pixels that the header announces.
    pub max_pixels: u64,
}

impl Default for Limits {
    /// 20 MiB and 50 megapixels: any phone's photo, and no bomb.
    fn default() -> Self {
        Self { max_bytes: 20 << 20, max_pixels: 50_000_000 }
    }
}

impl Limits {
    /// The most that one upload within these limits can hold while it is decoded, in bytes.
    #[must_use]
    pub fn largest_cost(&self) -> u64 {
        let pixels = self.max_pixels.saturating_mul(MAX_BYTES_PER_PIXEL + WORKING_BYTES_PER_PIXEL);
        pixels.saturating_add(self.max_bytes as u64)
    }
}

/// Of the widest pixels that are served, RGBA with 16 bits each.
const MAX_BYTES_PER_PIXEL: u64 = 8;

/// Held beside the decoder's own pixels at the worst moment: the coefficients of a progressive JPEG
/// (6), or an RGBA copy and its RGB (4 + 3), or the RGB and its upright copy (3 + 3); rounded up.
const WORKING_BYTES_PER_PIXEL: u64 = 8;

/// Room for a decoder's tables, and for metadata that it keeps.
const DECODER_BYTES: u64 = 8 << 20;

/// What the header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The format that the content shows.
    pub format: Format,
    /// Columns as stored, before orientation.
    pub width: u32,
    /// Rows as stored, before orientation.
    pub height: u32,
    bytes_per_pixel: u8,
}

impl Header {
    /// The most that decoding will hold at once, in bytes.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        let pixels = u64::from(self.width) * u64::from(self.height);
        pixels * (u64::from(self.bytes_per_pixel) + WORKING_BYTES_PER_PIXEL)
    }
}

/// An upright RGB image, uint8 `[height, width, 3]`, at least 1×1. Only [`decode`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image(image::RgbImage);

impl Image {
    /// Columns.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.0.width()
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.0.height()
    }

    /// All pixels, row after row.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        self.0.as_raw()
    }
}

/// Tells the format from the content and reads the header, in microseconds for most formats.
///
/// # Errors
///
/// [`DecodeError`] where it is no image that is served, or one over a limit.
pub fn inspect(bytes: &[u8], limits: &Limits) -> Result<Header, DecodeError> {
    if bytes.len() > limits.max_bytes {
        return Err(DecodeError::TooManyBytes { bytes: bytes.len(), limit: limits.max_bytes });
    }
    let format = format::sniff(bytes)?;
    guarded(format, || {
        // A header that cannot be read may just not be all there.
        let decoder = open(bytes, format).map_err(|error| {
            if complete::is_cut_off(bytes, format) {
                DecodeError::Truncated { format }
            } else {
                error
            }
        })?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        if pixels > limits.max_pixels {
            return Err(DecodeError::TooManyPixels { pixels, limit: limits.max_pixels });
        }
        if pixels == 0 {
            return Err(DecodeError::corrupt(format, "it has no pixels"));
        }
        let color = decoder.color_type();
        if matches!(color, ColorType::Rgb32F | ColorType::Rgba32F) {
            return Err(DecodeError::Unsupported { format: "an image of floating point pixels" });
        }
        Ok(Header { format, width, height, bytes_per_pixel: color.bytes_per_pixel() })
    })
}

/// Decodes what `header` announced: the first frame, upright, transparency over white.
///
/// # Errors
///
/// [`DecodeError::Truncated`] where the file ends too early (half a picture is never answered), and
/// [`DecodeError::Corrupt`] where it is damaged inside.
pub fn decode(bytes: &[u8], header: &Header) -> Result<Image, DecodeError> {
    let format = header.format;
    if complete::is_cut_off(bytes, format) {
        return Err(DecodeError::Truncated { format });
    }
    guarded(format, || {
        let mut decoder = open(bytes, format)?;
        let mut limits = image::Limits::no_limits();
        limits.max_alloc = Some(header.decoded_bytes() + DECODER_BYTES);
        let failed = |error| DecodeError::from_image(format, error);
        decoder.set_limits(limits).map_err(failed)?;
        // A damaged EXIF block spoils the orientation, not the picture.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let decoded = DynamicImage::from_decoder(decoder).map_err(failed)?;
        let mut upright = DynamicImage::ImageRgb8(rgb::flatten(decoded));
        upright.apply_orientation(orientation);
        Ok(Image(upright.into_rgb8()))
    })
}

fn open(bytes: &[u8], format: Format) -> Result<impl ImageDecoder + '_, DecodeError> {
    ImageReader::with_format(Cursor::new(bytes), format.known())
        .into_decoder()
        .map_err(|error| DecodeError::from_image(format, error))
}

/// Decoders meet hostile bytes: one that panics has met a corrupt image, no more.
fn guarded<T>(
    format: Format,
    work: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(DecodeError::corrupt(format, "its decoder gave up")))
}

#[cfg(test)]
mod tests;
