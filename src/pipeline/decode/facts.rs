//! How a picture lies in its file, for people who look for what went wrong.

use serde::Serialize;
use utoipa::ToSchema;

use super::{DecodeError, Header, announced, guarded, orientation};

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
    guarded(format, || {
        let color = announced(bytes, format, header.jpeg.as_ref())?.color;
        Ok(Stored { width, height, orientation: orientation(bytes, header).to_exif(), color })
    })
}
