//! A file, segment by segment (ITU-T T.81, annex B).

pub(super) const END_OF_IMAGE: u8 = 0xD9;
pub(super) const START_OF_SCAN: u8 = 0xDA;
pub(super) const EXIF: u8 = 0xE1;

/// A marker and what follows it, without its length.
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    pub(super) body: &'a [u8],
    /// Where it ends in the file.
    pub(super) end: usize,
}

impl Segment<'_> {
    /// Whether it announces size and coding: C4, C8 and CC mean other things.
    pub(super) fn is_frame(&self) -> bool {
        matches!(self.marker, 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF)
    }
}

/// Walks segment by segment, over the data of scans, to the first byte that is no marker.
pub(super) struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether a scan's data comes next. Who looks for its start need not walk over it.
    before_scan: bool,
}

impl<'a> Segments<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 2, before_scan: false }
    }

    /// What has not been walked over.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        if std::mem::take(&mut self.before_scan) {
            self.at += length_of_scan(self.rest());
        }
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
                    self.before_scan = marker == START_OF_SCAN;
                    return Some(Segment { marker, body, end: self.at });
                }
            }
        }
        None
    }
}

/// How many bytes come before the next marker that is not part of a scan's data.
fn length_of_scan(data: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = data.get(at..).and_then(|rest| memchr::memchr(0xFF, rest)) {
        at += found;
        match data.get(at + 1) {
            Some(0x00 | 0xD0..=0xD7) => at += 2,
            Some(_) => return at,
            None => break,
        }
    }
    data.len()
}
