//! Limits for uploads, and the memory of decoding, computed from the header.

use super::{DecodeError, Format, Formats};

/// Limits of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum size of the upload, in bytes.
    pub max_bytes: usize,
    /// Maximum number of pixels that the header announces.
    pub max_pixels: u64,
    /// The accepted formats.
    pub formats: Formats,
}

impl Default for Limits {
    /// 20 MiB, 50 megapixels and all formats: enough for any phone's photo, but not for decompression bombs.
    fn default() -> Self {
        Self { max_bytes: 20 << 20, max_pixels: 50_000_000, formats: Formats::ALL }
    }
}

impl Limits {
    /// Checks the size of an image.
    pub(super) fn check_size(&self, format: Format, size: [u32; 2]) -> Result<(), DecodeError> {
        let pixels = pixels(size);
        if pixels > self.max_pixels {
            return Err(DecodeError::TooManyPixels { pixels, limit: self.max_pixels });
        }
        if size[0].max(size[1]) > MAX_SIDE {
            return Err(DecodeError::Unsupported { format: "an image longer than 65,535 pixels" });
        }
        if pixels == 0 {
            return Err(DecodeError::corrupt(format, "it has no pixels"));
        }
        Ok(())
    }

    /// Maximum memory that decoding an upload within these limits can take, in bytes.
    #[must_use]
    pub fn largest_cost(&self) -> u64 {
        let upload = self.max_bytes as u64;
        let padding = (BLOCK - 1) * (2 * u64::from(MAX_SIDE) + BLOCK);
        let pixels = self.max_pixels.saturating_add(padding);
        pixels
            .saturating_mul(u64::from(MAX_BYTES_PER_PIXEL + WORKING_BYTES_PER_PIXEL))
            .saturating_add(overhead(upload))
            .saturating_add(upload)
    }
}

/// Columns times rows.
pub(super) fn pixels([width, height]: [u32; 2]) -> u64 {
    u64::from(width) * u64::from(height)
}

/// Number of pixels of the whole blocks that JPEG and WebP decode: an image with one row takes sixteen.
pub(super) fn padded_pixels([width, height]: [u32; 2]) -> u64 {
    u64::from(width).next_multiple_of(BLOCK) * u64::from(height).next_multiple_of(BLOCK)
}

const BLOCK: u64 = 16;

/// Bytes of the largest pixels, RGBA with 16 bits per channel.
const MAX_BYTES_PER_PIXEL: u8 = 8;

/// Maximum memory in addition to the decoder's own pixels, per pixel: the coefficients of a progressive JPEG
/// (6), or an RGBA copy and its RGB (4 + 3), or the RGB and its upright copy (3 + 3); rounded up.
pub(super) const WORKING_BYTES_PER_PIXEL: u8 = 8;

/// Size of a decoder's tables and rows: less than 120 KiB were measured in addition to the pixels and the
/// copies.
const DECODER_BYTES: u64 = 128 << 10;

/// Copies of the upload: a decoder may copy it, and copy the colour profile that it contains.
const COPIES_OF_UPLOAD: u64 = 2;

/// Maximum width and height: the maximum of JPEG and GIF. Whole rows and columns are in memory while an image
/// is decoded and resized.
const MAX_SIDE: u32 = 65_535;

/// Memory of the JPEG decoder in addition to the pixels, for an upload of this size in bytes.
pub(super) fn overhead(upload: u64) -> u64 {
    upload.saturating_mul(COPIES_OF_UPLOAD).saturating_add(DECODER_BYTES)
}
