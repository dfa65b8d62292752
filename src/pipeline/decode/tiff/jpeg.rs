//! Strips and tiles that are JPEGs (TIFF Technical Note 2), with the tables that they share.

use super::super::canvas::Canvas;
use super::super::jpeg::{self, Outline};
use super::super::{DecodeError, Limits, Reduction};
use super::layout::{Colors, Layout};
use super::{FORMAT, PieceArea};

/// How many pixels' time it takes to set up a decoder.
pub(super) const PIXELS_FOR_TABLES: u64 = 4096;

/// The second byte of the marker that ends a JPEG.
const END: u8 = 0xD9;

/// Decodes the piece at `index` to its place.
///
/// # Errors
///
/// [`DecodeError`] where it is damaged, not as large as its place, or of a kind that no TIFF needs.
pub(super) fn decode_piece(
    layout: &Layout<'_>,
    index: usize,
    place: &PieceArea,
    canvas: &mut Canvas<'_>,
) -> Result<(), DecodeError> {
    let file = whole_file(layout.pieces[index], layout);
    let outline = checked(&file, layout, place)?;
    let picture = jpeg::decode(&file, &outline, Reduction::None, canvas.watch()).map_err(inside)?;
    let stride = picture.width() as usize * 3;
    for (y, from) in picture.as_raw().chunks_exact(stride).take(place.rows).enumerate() {
        if let Some(to) = canvas.row(place.top + y)? {
            let to = &mut to[place.left * 3..][..place.columns * 3];
            to.copy_from_slice(&from[..place.columns * 3]);
            if layout.colors == Colors::WhiteIsZero {
                for level in to {
                    *level = 255 - *level;
                }
            }
        }
    }
    Ok(())
}

/// Whether the JPEG is what its place says: as large, with its channels, and of few scans.
fn checked(file: &[u8], layout: &Layout<'_>, place: &PieceArea) -> Result<Outline, DecodeError> {
    // Nothing larger than the piece is even looked at.
    let [columns, rows] = layout.piece;
    let limits = Limits { max_pixels: u64::from(columns) * u64::from(rows), ..Limits::default() };
    let outline = Outline::read(file, &limits).map_err(inside)?;
    let [width, height] = outline.size();
    if width != columns || height as usize > rows as usize || (height as usize) < place.rows {
        return Err(damaged("a JPEG inside is not as large as its strip or tile"));
    }
    if usize::from(outline.components()) != layout.channels {
        return Err(damaged("a JPEG inside has other channels than the picture"));
    }
    if outline.scans > u32::from(outline.components()) {
        return Err(DecodeError::Unsupported { format: "a TIFF with a progressive JPEG inside" });
    }
    if layout.channels != layout.colors.channels() {
        return Err(DecodeError::Unsupported { format: "a TIFF with JPEG and opacity" });
    }
    Ok(outline)
}

/// What is wrong with the JPEG is wrong with the TIFF.
fn inside(error: DecodeError) -> DecodeError {
    match error {
        DecodeError::TooManyPixels { .. } => {
            damaged("a JPEG inside is not as large as its strip or tile")
        }
        DecodeError::Unsupported { .. } => {
            DecodeError::Unsupported { format: "a TIFF with a rare JPEG inside" }
        }
        DecodeError::Corrupt { cause, .. } => {
            DecodeError::corrupt(FORMAT, format!("a JPEG inside: {cause}"))
        }
        DecodeError::Truncated { .. } => DecodeError::Truncated { format: FORMAT },
        error @ (DecodeError::NotAnImage { .. }
        | DecodeError::Stopped { .. }
        | DecodeError::Disabled { .. }
        | DecodeError::TooManyBytes { .. }) => error,
    }
}

fn damaged(cause: &str) -> DecodeError {
    DecodeError::corrupt(FORMAT, cause)
}

/// The shared tables and the piece as one file, in which an Adobe marker says what the channels are: the
/// piece itself does not, and decoders would guess.
fn whole_file(piece: &[u8], layout: &Layout<'_>) -> Vec<u8> {
    const START: [u8; 2] = [0xFF, 0xD8];
    let transform = u8::from(layout.colors == Colors::YCbCr);
    let tables = layout.jpeg_tables;
    let tables = tables.strip_prefix(&START).unwrap_or(tables);
    let tables = tables.strip_suffix(&[0xFF, END]).unwrap_or(tables);
    let adobe = [0xFF, 0xEE, 0, 14, b'A', b'd', b'o', b'b', b'e', 0, 100, 0, 0, 0, 0, transform];
    let rest = piece.strip_prefix(&START).unwrap_or(piece);
    [&START[..], &adobe, tables, rest].concat()
}
