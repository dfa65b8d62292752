//! JPEG (ITU-T T.81): inspection without decoding, and decoding.
//!
//! A photo of 12 megapixels has 240 times as many pixels as a network's input of 224×224. The inverse DCT can compute 4×4, 2×2
//! or 1×1 pixels of each 8×8 block, from the lowest frequencies only. `reduced` does that for common files, in less time
//! than `libjpeg-turbo-rs`, which decodes all files at full size. Files that take long and that it could only decode in
//! one piece are decoded to coefficients here, and rewritten for it.

mod segments; // the segments of a file
mod table_segment; // the tables in a segment
mod frame_header; // size, components, coding
mod progression; // whether a progressive file is complete
mod walked; // the facts of all segments
mod outline; // inspection without decoding
mod bits; // the bits of a scan
mod huffman; // bits → symbols
mod tables; // the tables of a file so far
mod coefficients; // the coefficients of a whole image
mod passes; // symbols → the coefficients of a block that a scan contains
mod scan_header; // the components, tables and coefficients of a scan
mod scans; // all scans → the coefficients of an image
mod idct; // inverse DCT at full or reduced size
mod scaling; // how blocks are decoded at reduced size
mod blocks; // a scan, or the coefficients of an image → its blocks
mod reduced; // blocks → an image at reduced size
mod codes; // coefficients → bits
mod rewrite; // coefficients → a sequential file
mod whole; // decodes any file at full size

#[cfg(any(test, fuzzing))]
mod both_ways;

use image::RgbImage;

use super::{DecodeError, Format, Reduction, Watch};
#[cfg(fuzzing)]
pub use both_ways::both_ways;
pub(super) use outline::Outline;

/// Decodes at the size of `reduction`, without applying the orientation.
///
/// # Errors
///
/// [`DecodeError`] if the data is damaged or truncated, or `watch` stops it.
pub(super) fn decode(
    bytes: &[u8],
    outline: &Outline,
    reduction: Reduction,
    watch: Watch<'_>,
) -> Result<RgbImage, DecodeError> {
    match reduction {
        Reduction::None => whole::decode(bytes, outline, watch),
        Reduction::Half | Reduction::Quarter | Reduction::Eighth => {
            reduced::decode(bytes, outline, reduction, watch)
        }
    }
}

fn damaged(cause: &str) -> DecodeError {
    DecodeError::corrupt(Format::Jpeg, cause)
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "numbers below 256, or cut on purpose")]
mod rewrite_tests;
#[cfg(test)]
mod tests;
