//! Detects truncated files from their structure, because some decoders fill missing parts with grey.

use super::{Format, png, webp};

/// Whether the file is truncated according to its format.
///
/// For GIF, BMP and TIFF the decoders detect this, because they fail without the pixels. For JPEG the outline
/// does.
pub(super) fn is_truncated(bytes: &[u8], format: Format) -> bool {
    match format {
        Format::Png => !png::has_an_end(bytes),
        Format::WebP => webp::whole(bytes).is_none(),
        Format::Jpeg | Format::Gif | Format::Bmp | Format::Tiff => false,
    }
}
