//! Whether a file is all there, from its own structure: some decoders fill what is missing with grey.

use super::{Format, png, webp};

/// Whether the file ends before its format says that it is complete.
///
/// GIF, BMP and TIFF are told by their decoders, which do not go on without the pixels; a JPEG's outline tells it.
pub(super) fn is_cut_off(bytes: &[u8], format: Format) -> bool {
    match format {
        Format::Png => !png::has_an_end(bytes),
        Format::WebP => webp::whole(bytes).is_none(),
        Format::Jpeg | Format::Gif | Format::Bmp | Format::Tiff => false,
    }
}
