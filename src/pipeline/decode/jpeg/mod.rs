//! JPEG (ITU-T T.81): inspection without decoding, and decoding.
//!
//! A camera's photo has fifty times as many pixels as a network's input. The inverse DCT can compute 4×4, 2×2
//! or 1×1 pixels of each 8×8 block, from the lowest frequencies only. `reduced` does that for common files,
//! in half the time of the general decoder. libjpeg-turbo-rs decodes all other files, and all files at full
//! size.

mod segments; // the segments of a file
mod frame_header; // size, components, coding
mod progression; // whether a progressive file is complete
mod outline; // inspection without decoding
mod bits; // the bits of a scan
mod huffman; // bits → symbols
mod frame; // headers and tables → what decoding a scan needs
mod idct; // inverse DCT at full or reduced size
mod reduced; // decodes a baseline scan at reduced size
mod whole; // decodes any file at full size

use image::RgbImage;

use super::{DecodeError, Format, Reduction, Watch};
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
        Reduction::None => whole::decode(bytes, outline, reduction, watch),
        Reduction::Half | Reduction::Quarter | Reduction::Eighth => {
            match reduced::decode(bytes, reduction, watch) {
                // Data that this decoder does not expect may be valid: the other decoder decides, at the same
                // size.
                Err(DecodeError::Corrupt { .. }) => whole::decode(bytes, outline, reduction, watch),
                answer => answer,
            }
        }
    }
}

fn damaged(cause: &str) -> DecodeError {
    DecodeError::corrupt(Format::Jpeg, cause)
}

#[cfg(test)]
mod tests;
