//! Strips and tiles that are JPEGs with shared tables (TIFF Technical Note 2).

use super::super::canvas::Canvas;
use super::super::jpeg::{self, Outline};
use super::super::{DecodeError, Limits, Reduction};
use super::layout::{Colors, Layout};
use super::{FORMAT, PieceArea};

/// The time for setting up a decoder, expressed in pixels.
pub(super) const PIXELS_FOR_TABLES: u64 = 4096;

/// The second byte of the marker that ends a JPEG.
const END: u8 = 0xD9;

/// Decodes the strip or tile at `index` to its place.
///
/// # Errors
///
/// [`DecodeError`] if it is damaged, not as large as its place, or of an unsupported kind.
pub(super) fn decode_piece(
    layout: &Layout<'_>,
    index: usize,
    place: &PieceArea,
    canvas: &mut Canvas<'_>,
) -> Result<(), DecodeError> {
    let file = whole_file(layout.pieces[index], layout);
    let outline = checked(&file, layout, place)?;
    let decoded = jpeg::decode(&file, &outline, Reduction::None, canvas.watch()).map_err(inside)?;
    let stride = decoded.width() as usize * 3;
    for (y, from) in decoded.as_raw().chunks_exact(stride).take(place.rows).enumerate() {
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

/// Checks that the JPEG has the size and the channels of its place, and few scans.
fn checked(file: &[u8], layout: &Layout<'_>, place: &PieceArea) -> Result<Outline, DecodeError> {
    // Larger JPEGs are rejected from their headers.
    let [columns, rows] = layout.piece;
    let limits = Limits { max_pixels: u64::from(columns) * u64::from(rows), ..Limits::default() };
    let outline = Outline::read(file, &limits).map_err(inside)?;
    let [width, height] = outline.size();
    if width != columns || height as usize > rows as usize || (height as usize) < place.rows {
        return Err(damaged("a JPEG inside is not as large as its strip or tile"));
    }
    if usize::from(outline.components()) != layout.channels {
        return Err(damaged("a JPEG inside has other channels than the image"));
    }
    if outline.scans > u32::from(outline.components()) {
        return Err(DecodeError::Unsupported { format: "a TIFF with a progressive JPEG inside" });
    }
    if layout.channels != layout.colors.channels() {
        return Err(DecodeError::Unsupported { format: "a TIFF with JPEG and opacity" });
    }
    Ok(outline)
}

/// Converts an error of the JPEG to one of the TIFF.
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

/// Combines the shared tables and the strip or tile to one file. An Adobe marker defines the channels,
/// because decoders would otherwise guess them.
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
