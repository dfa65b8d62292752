//! How a picture lies in its file, for people who look for what went wrong.

use std::io::Cursor;

use image::ImageDecoder;
use serde::Serialize;
use utoipa::ToSchema;

use super::{DecodeError, Header, guarded, needed, open, orientation};

/// A picture before it is made upright and RGB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stored {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// EXIF's number, 1 to 8: how it must be turned to be upright; 1 is not at all.
    #[schema(minimum = 1, maximum = 8)]
    pub orientation: u8,
    /// Channels and bits, such as `rgb8`, `la16` or `cmyk8`; a palette's colours are told, not that
    /// there is one.
    pub color: String,
}

/// Reads it from the file that `header` is of. No pixels are decoded.
///
/// # Errors
///
/// [`DecodeError`], as [`decode`](super::decode).
pub fn stored(bytes: &[u8], header: &Header) -> Result<Stored, DecodeError> {
    let &Header { format, width, height, .. } = header;
    if let Some(outline) = &header.jpeg {
        let color = match outline.components() {
            1 => "l8",
            4 => "cmyk8",
            _ => "rgb8",
        };
        let orientation = outline.orientation.to_exif();
        return Ok(Stored { width, height, orientation, color: color.to_owned() });
    }
    guarded(format, || {
        let needed = needed(bytes, header)?;
        let mut decoder = open(Cursor::new(&*needed), format)?;
        let orientation = orientation(&mut decoder, bytes, format);
        let color = format!("{:?}", decoder.original_color_type()).to_lowercase();
        Ok(Stored { width, height, orientation: orientation.to_exif(), color })
    })
}
