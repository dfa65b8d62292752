//! WebP: extracts an image from its container, and decodes it with libwebp.

mod chunks; // the container, and its first image
mod libwebp; // decodes an image
mod lossless; // the memory that a VP8L stream will take

use image::RgbImage;
use image::metadata::Orientation;

use super::announced::{Announced, TABLES};
use super::canvas::Canvas;
use super::{DecodeError, Format, Watch, cost, exif, rgb};
pub(super) use chunks::whole;
use chunks::{WebpCoding, WebpFrame};

const FORMAT: Format = Format::WebP;

/// The properties of the image, from the container.
///
/// # Errors
///
/// [`DecodeError`] if it is damaged.
pub(super) fn announced(bytes: &[u8]) -> Result<Announced, DecodeError> {
    let frame = WebpFrame::first(whole(bytes).unwrap_or(bytes))?;
    let color = if frame.has_alpha() { "rgba8" } else { "rgb8" };
    // Lossy: RGB, alpha and its decoding (5 in total), and the upright copy. Lossless: ARGB and the image
    // (8); then the upright copy of the image.
    let tables = match frame.coding {
        WebpCoding::Lossy { alpha: None, .. } => 0,
        WebpCoding::Lossy { alpha: Some(stream), .. } => lossless::most_tables(stream, frame.size),
        WebpCoding::Lossless { vp8l } => lossless::most_tables(vp8l, frame.size),
    };
    let placed = if frame.size == frame.canvas { 0 } else { 4 };
    // Some rows of blocks, and the file with only this image.
    let rows = u64::from(frame.size[0]) * 256;
    Ok(Announced {
        size: frame.canvas,
        color: color.to_owned(),
        per_pixel: if matches!(frame.coding, WebpCoding::Lossy { alpha: None, .. }) {
            6
        } else {
            9
        } + placed,
        overhead: bytes.len() as u64 + tables + rows + TABLES,
        passes: 1,
    })
}

/// Decodes the first image.
///
/// # Errors
///
/// [`DecodeError`] if it is damaged, does not have `size`, or `watch` stops it.
pub(super) fn decode(
    bytes: &[u8],
    size: [u32; 2],
    watch: Watch<'_>,
) -> Result<RgbImage, DecodeError> {
    let frame = WebpFrame::first(whole(bytes).ok_or(DecodeError::Truncated { format: FORMAT })?)?;
    if frame.canvas != size {
        return Err(DecodeError::corrupt(FORMAT, "a part announces more than there is"));
    }
    let head = match frame.coding {
        WebpCoding::Lossy { alpha: None, .. } => 0,
        WebpCoding::Lossy { alpha: Some(alpha), .. } => {
            lossless::check_alpha(alpha, frame.size, watch)?;
            0
        }
        WebpCoding::Lossless { vp8l } => {
            let head = lossless::check(vp8l, frame.size, watch)?;
            // A few bytes may contain many pixels, between which the watch is not checked.
            watch.check_time(cost::webp(frame.size))?;
            head
        }
    };
    let (file, data) = frame.file();
    let channels = if frame.has_alpha() { 4 } else { 3 };
    let work = libwebp::Work { file: &file, head: data + head, size: frame.size, channels };
    let mut pixels = libwebp::decode(&work, watch)?;
    if frame.size == frame.canvas && channels == 3 {
        let [width, height] = size;
        return RgbImage::from_raw(width, height, pixels)
            .ok_or_else(|| DecodeError::corrupt(FORMAT, "it has no pixels"));
    }
    drop(file);
    if frame.size == frame.canvas {
        over_white_in_place(&mut pixels);
        let [width, height] = size;
        return RgbImage::from_raw(width, height, pixels)
            .ok_or_else(|| DecodeError::corrupt(FORMAT, "it has no pixels"));
    }
    let mut canvas = Canvas::new(size, watch);
    let [left, top] = frame.place.map(|side| side as usize);
    let row_bytes = frame.size[0] as usize * channels;
    for (y, row) in pixels.chunks_exact(row_bytes).enumerate() {
        if let Some(to) = canvas.row(top + y)? {
            rgb::from_row(row, channels, &mut to[left * 3..][..frame.size[0] as usize * 3]);
        }
    }
    canvas.into_image(FORMAT)
}

/// Converts RGBA to RGB over white, without a second buffer.
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

/// The orientation in its EXIF chunk, or otherwise in its XMP packet.
pub(super) fn orientation(bytes: &[u8]) -> Orientation {
    let file = whole(bytes).unwrap_or(bytes);
    chunks::find(file, *b"EXIF")
        .and_then(exif::orientation)
        .or_else(|| chunks::find(file, *b"XMP ").and_then(exif::orientation_in_xmp))
        .unwrap_or(Orientation::NoTransforms)
}
