//! WebP: a picture is taken out of its container here, and libwebp decodes it.

mod chunks; // a file's container → its first picture
mod libwebp; // a picture → pixels
mod lossless; // what a VP8L stream will take, before it is decoded

use image::RgbImage;
use image::metadata::Orientation;

use super::announced::{Announced, TABLES};
use super::canvas::Canvas;
use super::{DecodeError, Format, Watch, cost, exif, rgb};
pub(super) use chunks::whole;
use chunks::{Picture, WebpCoding};

const FORMAT: Format = Format::WebP;

/// What the container says.
///
/// # Errors
///
/// [`DecodeError`] where it is damaged.
pub(super) fn announced(bytes: &[u8]) -> Result<Announced, DecodeError> {
    let picture = Picture::first(whole(bytes).unwrap_or(bytes))?;
    let color = if picture.has_alpha() { "rgba8" } else { "rgb8" };
    // Lossy: RGB, opacity and its own decoding (5 in all), and the upright copy.
    // Lossless: ARGB and the picture (8); then the upright copy of the picture.
    let tables = match picture.coding {
        WebpCoding::Lossy { alpha: None, .. } => 0,
        WebpCoding::Lossy { alpha: Some(stream), .. } => {
            lossless::most_tables(stream, picture.size)
        }
        WebpCoding::Lossless { vp8l } => lossless::most_tables(vp8l, picture.size),
    };
    let placed = if picture.size == picture.canvas { 0 } else { 4 };
    // Some rows of blocks; and the file of this picture alone.
    let rows = u64::from(picture.size[0]) * 256;
    Ok(Announced {
        size: picture.canvas,
        color: color.to_owned(),
        per_pixel: if matches!(picture.coding, WebpCoding::Lossy { alpha: None, .. }) {
            6
        } else {
            9
        } + placed,
        overhead: bytes.len() as u64 + tables + rows + TABLES,
        passes: 1,
    })
}

/// Decodes the first picture.
///
/// # Errors
///
/// [`DecodeError`] where it is damaged, or is not of `size` any more, and once `watch` stops it.
pub(super) fn decode(
    bytes: &[u8],
    size: [u32; 2],
    watch: Watch<'_>,
) -> Result<RgbImage, DecodeError> {
    let picture = Picture::first(whole(bytes).ok_or(DecodeError::Truncated { format: FORMAT })?)?;
    if picture.canvas != size {
        return Err(DecodeError::corrupt(FORMAT, "a part announces more than there is"));
    }
    let head = match picture.coding {
        WebpCoding::Lossy { alpha: None, .. } => 0,
        WebpCoding::Lossy { alpha: Some(alpha), .. } => {
            lossless::check_alpha(alpha, picture.size, watch)?;
            0
        }
        WebpCoding::Lossless { vp8l } => {
            let head = lossless::check(vp8l, picture.size, watch)?;
            // A few bytes may contain many pixels, which are decoded without a check.
            watch.check_time(cost::webp(picture.size))?;
            head
        }
    };
    let (file, data) = picture.file();
    let channels = if picture.has_alpha() { 4 } else { 3 };
    let work = libwebp::Work { file: &file, head: data + head, size: picture.size, channels };
    let mut pixels = libwebp::decode(&work, watch)?;
    if picture.size == picture.canvas && channels == 3 {
        let [width, height] = size;
        return RgbImage::from_raw(width, height, pixels)
            .ok_or_else(|| DecodeError::corrupt(FORMAT, "it has no pixels"));
    }
    drop(file);
    if picture.size == picture.canvas {
        over_white_in_place(&mut pixels);
        let [width, height] = size;
        return RgbImage::from_raw(width, height, pixels)
            .ok_or_else(|| DecodeError::corrupt(FORMAT, "it has no pixels"));
    }
    let mut canvas = Canvas::new(size, watch);
    let [left, top] = picture.place.map(|side| side as usize);
    let row_bytes = picture.size[0] as usize * channels;
    for (y, row) in pixels.chunks_exact(row_bytes).enumerate() {
        if let Some(to) = canvas.row(top + y)? {
            rgb::from_row(row, channels, &mut to[left * 3..][..picture.size[0] as usize * 3]);
        }
    }
    canvas.into_picture(FORMAT)
}

/// RGBA becomes RGB over white, without a second buffer.
fn over_white_in_place(pixels: &mut Vec<u8>) {
    let count = pixels.len() / 4;
    for index in 0..count {
        let alpha = pixels[index * 4 + 3];
        for channel in 0..3 {
            pixels[index * 3 + channel] = rgb::blend(pixels[index * 4 + channel], alpha);
        }
    }
    pixels.truncate(count * 3);
}

/// As its EXIF chunk says, or else its XMP packet.
pub(super) fn orientation(bytes: &[u8]) -> Orientation {
    let file = whole(bytes).unwrap_or(bytes);
    chunks::find(file, *b"EXIF")
        .and_then(exif::orientation)
        .or_else(|| chunks::find(file, *b"XMP ").and_then(exif::orientation_in_xmp))
        .unwrap_or(Orientation::NoTransforms)
}
