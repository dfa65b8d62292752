//! Whether a file is all there, from its own structure: some decoders fill what is missing with grey.

use super::Format;

/// Whether the file ends before its format says that it is complete.
///
/// GIF, BMP and TIFF are told by their decoders, which do not go on without the pixels.
pub(super) fn is_cut_off(bytes: &[u8], format: Format) -> bool {
    match format {
        Format::Jpeg => !jpeg_has_an_end(bytes),
        Format::Png => !png_has_an_end(bytes),
        Format::WebP => !webp_is_as_long_as_it_says(bytes),
        Format::Gif | Format::Bmp | Format::Tiff => false,
    }
}

/// Walks the markers (ITU-T T.81, annex B) to the end-of-image marker. An EXIF thumbnail has one of
/// its own, inside a segment, which does not count.
fn jpeg_has_an_end(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xFF, marker]) = bytes.get(at..at + 2) {
        match marker {
            0xD9 => return true,
            0xFF => at += 1,               // fill byte
            0x01 | 0xD0..=0xD7 => at += 2, // markers without a segment
            _ => {
                let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([high, low]));
                if marker == 0xDA {
                    at = skip_entropy_coded(bytes, at);
                }
            }
        }
    }
    // Garbage between segments: let the decoder judge, if an end comes at all.
    at < bytes.len() && bytes[at..].windows(2).any(|pair| pair == [0xFF, 0xD9])
}

/// The place of the next marker that is not part of a scan's data.
fn skip_entropy_coded(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(&[first, second]) = bytes.get(at..at + 2) {
        if first == 0xFF && !matches!(second, 0x00 | 0xD0..=0xD7) {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// Walks the chunks (PNG specification, section 5.3) to IEND.
fn png_has_an_end(bytes: &[u8]) -> bool {
    let mut at = 8;
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let end = at.saturating_add(length).saturating_add(12);
        if &head[4..] == b"IEND" {
            return end <= bytes.len();
        }
        at = end;
    }
    false
}

/// Compares the length in the RIFF header (WebP container specification) with the file's.
fn webp_is_as_long_as_it_says(bytes: &[u8]) -> bool {
    let Some(&[a, b, c, d]) = bytes.get(4..8) else { return false };
    bytes.len() >= (u32::from_le_bytes([a, b, c, d]) as usize).saturating_add(8)
}
