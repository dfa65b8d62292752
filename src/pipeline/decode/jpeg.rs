//! JPEG: the segments of a file (ITU-T T.81, annex B), and what is read off them without decoding.

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

const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;

/// A marker and what follows it, without its length.
struct Segment<'a> {
    marker: u8,
    body: &'a [u8],
    /// Where it ends in the file.
    end: usize,
}

impl Segment<'_> {
    /// Whether it announces size and coding: C4, C8 and CC mean other things.
    fn is_frame(&self) -> bool {
        matches!(self.marker, 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF)
    }
}

/// Walks segment by segment, over the data of scans, to the first byte that is no marker.
struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 2 }
    }

    /// What has not been walked over.
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        while let [0xFF, marker, tail @ ..] = self.rest() {
            let marker = *marker;
            match marker {
                0xFF => self.at += 1,               // fill byte
                0x01 | 0xD0..=0xD7 => self.at += 2, // no length follows
                END_OF_IMAGE => {
                    self.at += 2;
                    return Some(Segment { marker, body: &[], end: self.at });
                }
                _ => {
                    let &[high, low, ..] = tail else { return None };
                    let length = usize::from(u16::from_be_bytes([high, low]));
                    let body = tail.get(2..length)?;
                    self.at += 2 + length;
                    let end = self.at;
                    if marker == START_OF_SCAN {
                        self.at += length_of_scan(self.rest());
                    }
                    return Some(Segment { marker, body, end });
                }
            }
        }
        None
    }
}

/// How many bytes come before the next marker that is not part of a scan's data.
fn length_of_scan(data: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) =
        data.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF))
    {
        at += found;
        match data.get(at + 1) {
            Some(0x00 | 0xD0..=0xD7) => at += 2,
            Some(_) => return at,
            None => break,
        }
    }
    data.len()
}
