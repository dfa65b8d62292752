//! BMP: bitmaps of Windows and OS/2, with the same results as Pillow.

mod header; // headers
mod runs; // RLE4 and RLE8

use image::RgbImage;

use super::announced::{Announced, RGB_AND_COPY, TABLES};
use super::canvas::Canvas;
use super::{DecodeError, Format, Watch, rgb};
pub(super) use header::is_bitmap;
use header::{BmpCoding, BmpHeader, Mask};
use runs::{RunCoding, Runs};

const FORMAT: Format = Format::Bmp;

/// The header's content.
///
/// # Errors
///
/// [`DecodeError`] if it is damaged, or of an unsupported kind.
pub(super) fn announced(bytes: &[u8]) -> Result<Announced, DecodeError> {
    let header = BmpHeader::read(bytes)?;
    let color = match header.coding {
        BmpCoding::Masks { alpha: Some(_), .. } => "rgba8",
        BmpCoding::Numbers | BmpCoding::Runs | BmpCoding::Masks { .. } => "rgb8",
    };
    // A row of palette indices.
    let overhead = u64::from(header.size[0]) + TABLES;
    Ok(Announced {
        size: header.size,
        color: color.to_owned(),
        per_pixel: RGB_AND_COPY,
        overhead,
        passes: 1,
    })
}

/// Decodes a bitmap row by row.
///
/// # Errors
///
/// [`DecodeError::Truncated`] if rows are missing, and [`DecodeError::Stopped`] by `watch`.
pub(super) fn decode(bytes: &[u8], watch: Watch<'_>) -> Result<RgbImage, DecodeError> {
    let header = BmpHeader::read(bytes)?;
    let data = bytes.get(header.pixels..).unwrap_or_default();
    let mut canvas = Canvas::new(header.size, watch);
    let height = header.size[1] as usize;
    let place = |line: usize| if header.top_down { line } else { height - 1 - line };
    if header.coding == BmpCoding::Runs {
        let colors = colors(header.palette, header.entry_bytes);
        let coding = if header.bits == 4 { RunCoding::Rle4 } else { RunCoding::Rle8 };
        let mut runs = Runs::new(data, header.size, coding);
        for line in 0..height {
            let numbers = runs.next_row()?;
            let Some(to) = canvas.row(place(line))? else { continue };
            for (to, number) in to.chunks_exact_mut(3).zip(numbers) {
                to.copy_from_slice(&colors[usize::from(*number)]);
            }
        }
        return canvas.into_image(FORMAT);
    }
    let stride = (header.size[0] as usize * usize::from(header.bits)).div_ceil(32) * 4;
    let row_bytes = (header.size[0] as usize * usize::from(header.bits)).div_ceil(8);
    let colors = colors(header.palette, header.entry_bytes);
    for line in 0..height {
        let start = line * stride;
        // The last row may have no padding.
        let row =
            data.get(start..start + row_bytes).ok_or(DecodeError::Truncated { format: FORMAT })?;
        if let Some(to) = canvas.row(place(line))? {
            fill(to, row, &header, &colors);
        }
    }
    canvas.into_image(FORMAT)
}

fn fill(to: &mut [u8], row: &[u8], header: &BmpHeader<'_>, colors: &[[u8; 3]; 256]) {
    let pixels = to.chunks_exact_mut(3);
    match header.coding {
        BmpCoding::Numbers | BmpCoding::Runs => {
            let bits = usize::from(header.bits);
            let most = (1_usize << bits) - 1;
            for (x, to) in pixels.enumerate() {
                let at = x * bits;
                let number = usize::from(row[at / 8]) >> (8 - bits - at % 8) & most;
                to.copy_from_slice(&colors[number]);
            }
        }
        BmpCoding::Masks { colors: [red, green, blue], alpha } => {
            let bytes = usize::from(header.bits / 8);
            for (to, pixel) in pixels.zip(row.chunks_exact(bytes)) {
                let value = pixel.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
                let over_white = |mask: Mask| {
                    alpha
                        .map_or(mask.of(value), |alpha| rgb::blend(mask.of(value), alpha.of(value)))
                };
                to.copy_from_slice(&[red, green, blue].map(over_white));
            }
        }
    }
}

/// The colours of all indices; black beyond the palette.
fn colors(palette: &[u8], entry_bytes: usize) -> [[u8; 3]; 256] {
    let mut colors = [[0; 3]; 256];
    for (color, entry) in colors.iter_mut().zip(palette.chunks_exact(entry_bytes)) {
        *color = [entry[2], entry[1], entry[0]];
    }
    colors
}
