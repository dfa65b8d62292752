//! TIFF: the first page, strip by strip or tile by tile.
//!
//! This module reads tags and converts pixels; crates decompress the data. Each strip or tile is decompressed
//! row by row, as far as the image needs it. A JPEG inside is decoded only if it is exactly as large as its
//! strip or tile.

mod directory; // tags
mod layout; // tags → layout of the pixels
mod fax; // CCITT compression
mod rows; // decompresses a strip or tile row by row
mod levels; // bytes → RGB
mod jpeg; // strips and tiles that are JPEGs

use image::RgbImage;
use image::metadata::Orientation;

use super::announced::{Announced, RGB_AND_COPY, TABLES};
use super::canvas::Canvas;
use super::{DecodeError, Format, Watch, exif};
use directory::Directory;
use layout::{Alpha, Colors, Layout, TiffCompression};
use levels::Levels;
use rows::Rows;

const FORMAT: Format = Format::Tiff;

/// The properties of the image, from the first directory.
///
/// # Errors
///
/// [`DecodeError`] if it is damaged, or the image is of an unsupported kind.
pub(super) fn announced(bytes: &[u8]) -> Result<Announced, DecodeError> {
    let layout = Layout::read(bytes)?;
    let bits = if layout.bits <= 8 { 8 } else { 16 };
    let name = match (&layout.colors, layout.alpha) {
        (Colors::WhiteIsZero | Colors::BlackIsZero, Alpha::None) => {
            if layout.bits < 8 {
                format!("l{}", layout.bits)
            } else {
                format!("l{bits}")
            }
        }
        (Colors::WhiteIsZero | Colors::BlackIsZero, _) => format!("la{bits}"),
        (Colors::Palette(_), _) => "rgb8".to_owned(),
        (Colors::Rgb | Colors::YCbCr, Alpha::None) => format!("rgb{bits}"),
        (Colors::Rgb | Colors::YCbCr, _) => format!("rgba{bits}"),
        (Colors::Cmyk, _) => format!("cmyk{bits}"),
    };
    // Each plane has a decoder with its tables, and a row of bytes, of levels and of RGB.
    let planes = if layout.planar { layout.channels as u64 } else { 1 };
    let row = u64::from(layout.piece[0]) * (layout.channels as u64 * 4 + 4);
    let lists = layout.pieces.len() as u64 * 48;
    let overhead = bytes.len() as u64 + planes * TABLES + row + lists;
    let (per_pixel, passes) = if layout.coding == TiffCompression::Jpeg {
        // A strip may be the whole image, as RGB and as its decoder's coefficients.
        let pixels = u64::from(layout.size[0]) * u64::from(layout.size[1]);
        let tables = layout.pieces.len() as u64 * jpeg::PIXELS_FOR_TABLES / pixels.max(1);
        (RGB_AND_COPY + 8, 2 + u32::try_from(tables).unwrap_or(u32::MAX - 2))
    } else {
        (RGB_AND_COPY, 1)
    };
    Ok(Announced { size: layout.size, color: name, per_pixel, overhead, passes })
}

/// Decodes the first page.
///
/// # Errors
///
/// [`DecodeError`] if it is damaged or truncated, or `watch` stops it.
pub(super) fn decode(bytes: &[u8], watch: Watch<'_>) -> Result<RgbImage, DecodeError> {
    let layout = Layout::read(bytes)?;
    let mut canvas = Canvas::new(layout.size, watch);
    let levels = Levels::of(&layout);
    for index in 0..layout.in_a_plane() {
        watch.check()?;
        let place = PieceArea::of(&layout, index);
        if layout.coding == TiffCompression::Jpeg {
            jpeg::decode_piece(&layout, index, &place, &mut canvas)?;
        } else {
            decode_piece(&layout, index, &place, &levels, &mut canvas)?;
        }
    }
    canvas.into_image(FORMAT)
}

/// The area of the image that a strip or tile covers.
struct PieceArea {
    left: usize,
    top: usize,
    columns: usize,
    rows: usize,
}

impl PieceArea {
    fn of(layout: &Layout<'_>, index: usize) -> Self {
        let [width, height] = layout.size.map(|side| side as usize);
        let [columns, rows] = layout.piece.map(|side| side as usize);
        let (left, top) = (index % layout.across() * columns, index / layout.across() * rows);
        Self { left, top, columns: columns.min(width - left), rows: rows.min(height - top) }
    }
}

/// Decodes one strip or tile: all planes at once, row by row.
fn decode_piece(
    layout: &Layout<'_>,
    index: usize,
    place: &PieceArea,
    levels: &Levels<'_>,
    canvas: &mut Canvas<'_>,
) -> Result<(), DecodeError> {
    let in_a_row = layout.piece[0] as usize;
    // Planes of channels that are ignored may be missing, and are not decompressed.
    let (planes, step, channels) = if layout.planar {
        (layout.needed_channels(), layout.channels, 1)
    } else {
        (1, 1, layout.channels)
    };
    let mut rows = (0..planes)
        .map(|plane| Rows::new(layout, layout.pieces[plane * layout.in_a_plane() + index]))
        .collect::<Result<Vec<_>, _>>()?;
    let mut bytes = vec![0; (in_a_row * channels * usize::from(layout.bits)).div_ceil(8)];
    let mut row = vec![0; in_a_row * layout.channels];
    for y in place.top..place.top + place.rows {
        for (plane, rows) in rows.iter_mut().enumerate() {
            rows.next(&mut bytes)?;
            if layout.differences {
                levels::add_up(&mut bytes, layout, channels);
            }
            let to = row.iter_mut().skip(plane).step_by(step);
            levels.of_bytes(&bytes, in_a_row * channels, to);
        }
        if let Some(to) = canvas.row(y)? {
            let to = &mut to[place.left * 3..][..place.columns * 3];
            levels.to_rgb(&row, to);
        }
        // A tile may be wider than its area of the image, and may have more channels.
        canvas.worked(in_a_row * layout.channels / 3)?;
    }
    Ok(())
}

/// The orientation in tag 274, or otherwise in the XMP packet.
pub(super) fn orientation(bytes: &[u8]) -> Orientation {
    let Some(directory) = Directory::first(bytes) else { return Orientation::NoTransforms };
    let found = match directory.numbers(274).ok().flatten().as_deref() {
        None => directory.bytes(700).ok().flatten().and_then(exif::orientation_in_xmp),
        Some(&[number]) => u8::try_from(number).ok().and_then(Orientation::from_exif),
        Some(_) => None,
    };
    found.unwrap_or(Orientation::NoTransforms)
}

#[cfg(test)]
mod tests;
