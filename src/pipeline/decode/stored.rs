//! How an image is stored in its file, for debugging.

use serde::Serialize;
use utoipa::ToSchema;

use super::{DecodeError, Header, announced, guarded, orientation};

/// An image as it is stored, before it is converted to upright RGB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stored {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The orientation as in EXIF, 1 to 8; 1 is upright.
    #[schema(minimum = 1, maximum = 8)]
    pub orientation: u8,
    /// Channels and bits, such as `rgb8`, `la16` or `cmyk8`; for an image with a palette, those of the
    /// palette's colours.
    pub color: String,
}

/// Reads it from the file with this `header`, without decoding pixels.
///
/// # Errors
///
/// [`DecodeError`], like [`decode`](super::decode).
pub fn stored(bytes: &[u8], header: &Header) -> Result<Stored, DecodeError> {
    let &Header { format, width, height, .. } = header;
    guarded(format, || {
        let color = announced(bytes, format, header.jpeg.as_ref())?.color;
        Ok(Stored { width, height, orientation: orientation(bytes, header).to_exif(), color })
    })
}
