//! Iterates over the segments of a file (ITU-T T.81, annex B). As in libjpeg, bytes between segments that are
//! not a marker are skipped.

/// The frame header of a sequential file with Huffman codes, whose quantization tables may have 16 bits.
pub(super) const EXTENDED_FRAME: u8 = 0xC1;
pub(super) const HUFFMAN_TABLES: u8 = 0xC4;
pub(super) const ARITHMETIC_TABLES: u8 = 0xCC;
pub(super) const QUANTIZATION_TABLES: u8 = 0xDB;
pub(super) const RESTART_INTERVAL: u8 = 0xDD;
pub(super) const START_OF_IMAGE: u8 = 0xD8;
pub(super) const END_OF_IMAGE: u8 = 0xD9;
pub(super) const START_OF_SCAN: u8 = 0xDA;
pub(super) const JFIF: u8 = 0xE0;
pub(super) const EXIF: u8 = 0xE1;
pub(super) const ADOBE: u8 = 0xEE;

/// A marker with its content, without the length.
#[derive(Debug)]
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    pub(super) body: &'a [u8],
    /// The end of the previous segment, or of its scan.
    pub(super) previous_end: usize,
    /// Offset of its marker in the file.
    pub(super) start: usize,
    /// Offset of its end in the file.
    pub(super) end: usize,
}

impl Segment<'_> {
    /// Whether it is a frame header. (C4, C8 and CC are other segments.)
    pub(super) fn is_frame(&self) -> bool {
        matches!(self.marker, 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF)
    }

    /// Whether it does not affect pixels: application segments, except the two that define the colours, and
    /// comments.
    pub(super) fn is_metadata(&self) -> bool {
        matches!(self.marker, 0xE1..=0xED | 0xEF | 0xFE)
    }
}

/// Iterates over segments up to the end-of-image marker, and skips the data of scans.
pub(super) struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether a scan's data comes next. It is skipped only when the next segment is requested.
    before_scan: bool,
    /// Whether the restart markers of all scans so far were in order.
    restarts_in_order: bool,
}

impl<'a> Segments<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 2, before_scan: false, restarts_in_order: true }
    }

    /// Whether the restart markers of the skipped scans were in order, from 0 to 7 in a cycle.
    pub(super) fn restarts_in_order(&self) -> bool {
        self.restarts_in_order
    }

    /// Goes to the next marker that is not a restart marker, and returns its code.
    fn next_marker(&mut self) -> Option<u8> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            self.at += memchr::memchr(0xFF, rest)?;
            match self.bytes.get(self.at + 1)? {
                0xFF => self.at += 1,                      // fill byte
                0x00 | 0x01 | 0xD0..=0xD7 => self.at += 2, // no segment
                code => return Some(*code),
            }
        }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        if std::mem::take(&mut self.before_scan) {
            let data = ScanData::of(self.bytes.get(self.at..)?);
            self.at += data.length;
            self.restarts_in_order &= data.restarts_in_order;
        }
        let previous_end = self.at;
        let marker = self.next_marker()?;
        let start = self.at;
        let body = if matches!(marker, START_OF_IMAGE | END_OF_IMAGE) {
            self.at += 2;
            &[]
        } else {
            let tail = &self.bytes[start + 2..];
            let length = usize::from(u16::from_be_bytes(*tail.first_chunk()?));
            self.at += 2 + length;
            tail.get(2..length)?
        };
        self.before_scan = marker == START_OF_SCAN;
        Some(Segment { marker, body, previous_end, start, end: self.at })
    }
}

/// The data of a scan, up to the next marker.
struct ScanData {
    /// Number of bytes before the next marker that is not part of it.
    length: usize,
    restarts_in_order: bool,
}

impl ScanData {
    fn of(data: &[u8]) -> Self {
        let (mut at, mut next_restart, mut restarts_in_order) = (0, 0, true);
        while let Some(found) = data.get(at..).and_then(|rest| memchr::memchr(0xFF, rest)) {
            let fill = at + found;
            let code = data[fill..].iter().position(|byte| *byte != 0xFF).map(|run| fill + run);
            match code.map(|code| (code, data[code])) {
                Some((code, 0x00)) => at = code + 1,
                Some((code, restart @ 0xD0..=0xD7)) => {
                    restarts_in_order &= restart == 0xD0 + next_restart;
                    next_restart = (restart - 0xD0 + 1) % 8;
                    at = code + 1;
                }
                Some(_) => return Self { length: fill, restarts_in_order },
                None => break,
            }
        }
        Self { length: data.len(), restarts_in_order }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_between_segments_is_skipped_and_restarts_are_counted() {
        let file =
            b"\xFF\xD8junk\xFF\x00\xFF\xFF\xDA\0\x02ab\xFF\x00\xFF\xD0c\xFF\xFF\xD1d\xFF\xD9";
        let mut walk = Segments::new(file);
        let markers: Vec<u8> = walk.by_ref().map(|segment| segment.marker).collect();
        assert_eq!(markers, [START_OF_SCAN, END_OF_IMAGE]);
        assert!(walk.restarts_in_order());
        let file = b"\xFF\xD8\xFF\xDA\0\x02ab\xFF\xD1c\xFF\xD9";
        let mut walk = Segments::new(file);
        assert_eq!(walk.by_ref().count(), 2);
        assert!(!walk.restarts_in_order());
    }
}
