//! Limits for uploads, and the memory of decoding, computed from the header.

use super::{DecodeError, Format, Formats};

/// What one upload may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the upload.
    pub max_bytes: usize,
    /// Pixels that the header announces.
    pub max_pixels: u64,
    /// Formats that are accepted.
    pub formats: Formats,
}

impl Default for Limits {
    /// 20 MiB, 50 megapixels and every format: any phone's photo, and no bomb.
    fn default() -> Self {
        Self { max_bytes: 20 << 20, max_pixels: 50_000_000, formats: Formats::ALL }
    }
}

impl Limits {
    /// Whether a picture of this size may be decoded.
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

    /// The most that one upload within these limits can hold while it is decoded, in bytes.
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

/// Pixels of the whole blocks in which JPEG and WebP decode: a picture of one line takes sixteen.
pub(super) fn padded_pixels([width, height]: [u32; 2]) -> u64 {
    u64::from(width).next_multiple_of(BLOCK) * u64::from(height).next_multiple_of(BLOCK)
}

const BLOCK: u64 = 16;

/// Of the widest pixels that are served, RGBA with 16 bits each.
const MAX_BYTES_PER_PIXEL: u8 = 8;

/// Held beside the decoder's own pixels at the worst moment: the coefficients of a progressive JPEG
/// (6), or an RGBA copy and its RGB (4 + 3), or the RGB and its upright copy (3 + 3); rounded up.
pub(super) const WORKING_BYTES_PER_PIXEL: u8 = 8;

/// A decoder's tables and lines: measured below 120 KiB beside the pixels and the copies.
const DECODER_BYTES: u64 = 128 << 10;

/// A decoder may copy the upload, and keep a copy of the colour profile in it.
const COPIES_OF_UPLOAD: u64 = 2;

/// The longest side that is served: the longest that JPEG, GIF and BMP can have. Lines and columns
/// are held in full while a picture is decoded and resized.
const MAX_SIDE: u32 = 65_535;

/// What the `image` crate's decoders hold beside the pixels, for an upload of so many bytes.
pub(super) fn overhead(upload: u64) -> u64 {
    upload.saturating_mul(COPIES_OF_UPLOAD).saturating_add(DECODER_BYTES)
}
