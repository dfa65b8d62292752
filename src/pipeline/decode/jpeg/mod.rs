//! JPEG (ITU-T T.81): inspection without decoding, and decoding.
//!
//! A camera's photo has fifty times the pixels that a network takes. What reduces it is the inverse
//! DCT: of each block of 8×8 it makes 4×4, 2×2 or 1×1 pixels, from the lowest frequencies alone. `reduced`
//! does that for the usual files, in half the time of a whole decoder; libjpeg-turbo-rs decodes everything
//! else, and everything at its full size.

mod segments; // a file, segment by segment
mod frame_header; // size, colours, coding
mod progression; // whether a progressive file is complete
mod outline; // inspection without decoding
mod bits; // a scan's data, bit by bit
mod huffman; // bits → symbols
mod frame; // headers and tables → what decoding a scan needs
mod idct; // inverse DCT at full or reduced size
mod reduced; // decodes a baseline scan at reduced size
mod whole; // decodes any file at full size

use image::RgbImage;

use super::{DecodeError, Format, Reduction, Watch};
pub(super) use outline::Outline;

/// Decodes at the size of `reduction`. Not turned upright.
///
/// # Errors
///
/// [`DecodeError`] where the data is not what it should be, or ends early, and once `watch` says stop.
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
                // What is unexpected may be right: the other decoder has the last word, at the same size.
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
