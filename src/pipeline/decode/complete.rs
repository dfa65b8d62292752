//! Whether a file is all there, from its own structure: some decoders fill what is missing with grey.

use super::{Format, jpeg, png, webp};

/// Whether the file ends before its format says that it is complete.
///
/// GIF, BMP and TIFF are told by their decoders, which do not go on without the pixels.
pub(super) fn is_cut_off(bytes: &[u8], format: Format) -> bool {
    match format {
        Format::Jpeg => !jpeg::has_an_end(bytes),
        Format::Png => !png::has_an_end(bytes),
        Format::WebP => webp::whole(bytes).is_none(),
        Format::Gif | Format::Bmp | Format::Tiff => false,
    }
}
