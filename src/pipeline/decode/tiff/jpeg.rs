//! Strips and tiles that are JPEGs (TIFF Technical Note 2), with the tables that they share.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageReader};

use super::super::canvas::Canvas;
use super::super::{DecodeError, Format};
use super::layout::{Colors, Layout};
use super::{FORMAT, Place};

/// How many pixels' time it takes to set up a decoder.
pub(super) const PIXELS_FOR_TABLES: u64 = 4096;

/// The second byte of the marker that ends a JPEG.
const END: u8 = 0xD9;

/// Decodes the piece at `index` to its place.
///
/// # Errors
///
/// [`DecodeError`] where it is damaged, larger than its place, or of a kind that no TIFF needs.
pub(super) fn decode_piece(
    layout: &Layout<'_>,
    index: usize,
    place: &Place,
    canvas: &mut Canvas<'_>,
) -> Result<(), DecodeError> {
    let mut file = whole_file(layout.pieces[index], layout);
    let end = check(&file, layout, place)?;
    // The decoder sees nothing that was not checked.
    file.truncate(end);
    let failed = |error| match DecodeError::from_image(FORMAT, error) {
        DecodeError::Unsupported { .. } => DecodeError::corrupt(FORMAT, "a JPEG inside is damaged"),
        error => error,
    };
    let mut decoder = ImageReader::with_format(Cursor::new(&*file), Format::Jpeg.known())
        .into_decoder()
        .map_err(failed)?;
    let mut limits = image::Limits::no_limits();
    let pixels = u64::from(layout.piece[0]) * u64::from(layout.piece[1]);
    limits.max_alloc = Some(pixels.saturating_mul(16).saturating_add(1 << 20));
    decoder.set_limits(limits).map_err(failed)?;
    let picture = DynamicImage::from_decoder(decoder).map_err(failed)?.into_rgb8();
    let stride = picture.width() as usize * 3;
    for (y, from) in picture.as_raw().chunks_exact(stride).take(place.rows).enumerate() {
        if let Some(to) = canvas.row(place.top + y)? {
            let to = &mut to[place.left * 3..][..place.columns * 3];
            to.copy_from_slice(&from[..place.columns * 3]);
            if layout.colors == Colors::WhiteIsZero {
                to.iter_mut().for_each(|level| *level = 255 - *level);
            }
        }
    }
    Ok(())
}

/// Whether the JPEG is what its place says: as large, sequential, with one frame and few scans. The place
/// behind its end.
fn check(file: &[u8], layout: &Layout<'_>, place: &Place) -> Result<usize, DecodeError> {
    let mut frame = None;
    let mut scans = 0;
    let mut at = 2;
    loop {
        let marker = match file.get(at..).and_then(<[u8]>::first_chunk) {
            Some(&[0xFF, END]) => break,
            Some(&[0xFF, marker]) => marker,
            Some(_) => return Err(damaged("a JPEG inside is damaged")),
            None => return Err(DecodeError::Truncated { format: FORMAT }),
        };
        match marker {
            0xC0 | 0xC1 if frame.is_some() => return Err(damaged("a JPEG inside has two frames")),
            0xC0 | 0xC1 => frame = Some(frame_at(file, at + 4)?),
            0xC2 => {
                return Err(DecodeError::Unsupported {
                    format: "a TIFF with a progressive JPEG inside",
                });
            }
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                return Err(DecodeError::Unsupported { format: "a TIFF with a rare JPEG inside" });
            }
            0xDA => scans += 1,
            _ => {}
        }
        let length = file.get(at + 2..).and_then(<[u8]>::first_chunk);
        let length = length.ok_or(DecodeError::Truncated { format: FORMAT })?;
        at = at + 2 + usize::from(u16::from_be_bytes(*length)).max(2);
        if marker == 0xDA {
            at = after_scan(file, at);
        }
    }
    let Some(([width, height], channels)) = frame else {
        return Err(damaged("a JPEG inside has no frame"));
    };
    let [columns, rows] = layout.piece.map(|side| side as usize);
    if width != columns || !(place.rows..=rows).contains(&height) {
        return Err(damaged("a JPEG inside is not as large as its strip or tile"));
    }
    if channels != layout.channels || scans > channels {
        return Err(damaged("a JPEG inside has other channels than the picture"));
    }
    if layout.channels != layout.colors.channels() {
        return Err(DecodeError::Unsupported { format: "a TIFF with JPEG and opacity" });
    }
    Ok(at + 2)
}

/// Columns, rows and channels of the frame whose header is at `at`.
fn frame_at(file: &[u8], at: usize) -> Result<([usize; 2], usize), DecodeError> {
    let &[bits, h1, h0, w1, w0, channels] = file
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .ok_or(DecodeError::Truncated { format: FORMAT })?;
    if bits != 8 {
        return Err(damaged("a JPEG inside has more than 8 bits a channel"));
    }
    let sides = [[w1, w0], [h1, h0]].map(|side| usize::from(u16::from_be_bytes(side)));
    Ok((sides, usize::from(channels)))
}

fn damaged(cause: &str) -> DecodeError {
    DecodeError::corrupt(FORMAT, cause)
}

/// The place of the next marker that is neither a stuffed byte nor a restart.
fn after_scan(piece: &[u8], mut at: usize) -> usize {
    while let Some(found) = piece.get(at..).and_then(|rest| memchr::memchr(0xFF, rest)) {
        at += found;
        match piece.get(at + 1) {
            Some(0 | 0xD0..=0xD7) => at += 2,
            Some(0xFF) => at += 1,
            _ => return at,
        }
    }
    piece.len()
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
