//! JPEG (ITU-T T.81): what is read off a file without decoding, and decoding at a part of its size.
//!
//! A camera's photo has fifty times the pixels that a network takes. What reduces it is the inverse
//! DCT: of each block of 8×8 it makes 4×4, 2×2 or 1×1 pixels, from the lowest frequencies alone.
//! The `image` crate decodes everything else, and everything at its full size.

mod segments; // a file, segment by segment
mod bits; // a scan's data, bit by bit
mod huffman; // bits → symbols
mod frame; // headers and tables → what decoding a scan needs
mod idct; // frequencies → pixels, as many as wanted
mod reduced; // a scan → a picture at a part of its size

use image::metadata::Orientation;

pub(super) use reduced::{decode, gentlest};
use segments::{END_OF_IMAGE, EXIF, START_OF_SCAN, Segment, Segments};

/// Whether the end-of-image marker is there. An EXIF thumbnail has one of its own, inside a segment,
/// which does not count.
pub(super) fn has_an_end(bytes: &[u8]) -> bool {
    let mut segments = Segments::new(bytes);
    if segments.by_ref().any(|segment| segment.marker == END_OF_IMAGE) {
        return true;
    }
    // Garbage between segments: let the decoder judge, if an end comes at all.
    segments.rest().windows(2).any(|pair| pair == [0xFF, END_OF_IMAGE])
}

/// The file up to the data of its first scan: all that a header has to say, and no more to copy.
pub(super) fn header(bytes: &[u8]) -> &[u8] {
    let scan = Segments::new(bytes).find(|segment| segment.marker == START_OF_SCAN);
    scan.and_then(|scan| bytes.get(..scan.end)).unwrap_or(bytes)
}

/// How its last EXIF block before the first scan says that it is turned, as the `image` crate reads it.
pub(super) fn orientation(bytes: &[u8]) -> Orientation {
    Segments::new(bytes)
        .take_while(|segment| segment.marker != START_OF_SCAN)
        .filter(|segment| segment.marker == EXIF)
        .filter_map(|segment| segment.body.strip_prefix(b"Exif\0\0"))
        .last()
        .and_then(Orientation::from_exif_chunk)
        .unwrap_or(Orientation::NoTransforms)
}

/// The kinds of JPEG that no photo has and the decoder does not know.
pub(super) fn unserved_kind(bytes: &[u8]) -> Option<&'static str> {
    let frame = Segments::new(bytes).find(Segment::is_frame)?;
    match (frame.marker, frame.body.first()?) {
        (0xC0..=0xC2, 8) => None,
        (0xC0..=0xC2, _) => Some("a JPEG with more than 8 bits a colour"),
        (0xC3, _) => Some("a lossless JPEG"),
        (0xC9 | 0xCA, _) => Some("a JPEG with arithmetic coding"),
        _ => Some("a JPEG of a rare kind"),
    }
}

/// How many colours a pixel is stored with: 1, 3, or 4 for CMYK, which the decoder answers as RGB.
pub(super) fn components(bytes: &[u8]) -> Option<u8> {
    Segments::new(bytes).find(Segment::is_frame)?.body.get(5).copied()
}
