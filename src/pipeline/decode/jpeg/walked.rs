//! Collects what inspection needs from all segments: frame header, scans, tables and orientation.

use image::metadata::Orientation;

use super::super::{DecodeError, Format, exif, limits};
use super::damaged;
use super::frame_header::{FrameHeader, JpegCoding};
use super::progression::{Progression, ScanRange};
use super::segments::{
    ADOBE, ARITHMETIC_TABLES, END_OF_IMAGE, EXIF, HUFFMAN_TABLES, JFIF, QUANTIZATION_TABLES,
    RESTART_INTERVAL, START_OF_IMAGE, START_OF_SCAN, Segment,
};
use super::table_segment::{RawTable, raw_tables};

/// Maximum number of scans, more than any encoder writes: a progressive file has 10 by default, and 18 for
/// CMYK.
const MAX_SCANS: u32 = 64;

/// Maximum of pixels times scans, because each scan takes time for every pixel. 50 megapixels may have 20
/// scans, as many as any encoder writes.
const MAX_SCANNED_PIXELS: u64 = 1_000_000_000;

/// Maximum size of tables before a scan. At most eight of 273 bytes for codes and four of 129 for
/// coefficients can be used.
const MAX_TABLE_BYTES: usize = 16 << 10;

/// What the segments so far contain.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that was seen, or not")]
pub(super) struct Walked<'a> {
    pub(super) frame: Option<FrameHeader>,
    pub(super) scans: u32,
    /// By component: whether a scan contains it.
    scanned: [bool; 4],
    first_scan_has_all: bool,
    /// Whether a scan has components in another order than the frame header.
    pub(super) is_out_of_order: bool,
    /// Whether a scan contains several, but not all components.
    has_a_scan_of_some: bool,
    progression: Progression,
    pub(super) orientation: Option<Orientation>,
    has_exif: bool,
    has_arithmetic_tables: bool,
    saw_jfif: bool,
    adobe: Option<u8>,
    table_bytes: usize,
    /// By index: the quantization table.
    quantization: [Option<&'a [u8]>; 4],
    pub(super) changes_quantization: bool,
    pub(super) data_bytes: usize,
    described: usize,
    pub(super) ended: bool,
}

impl<'a> Walked<'a> {
    pub(super) fn add(&mut self, segment: &Segment<'a>) -> Result<(), DecodeError> {
        if segment.is_metadata() {
            self.described += segment.end - segment.start;
        }
        self.data_bytes = segment.end - self.described;
        match segment.marker {
            START_OF_IMAGE => return Err(damaged("it begins a second time")),
            END_OF_IMAGE => self.ended = true,
            START_OF_SCAN => self.add_scan(segment.body)?,
            // The decoder does not check this length, and would parse the bytes after it as a segment.
            RESTART_INTERVAL if segment.body.len() != 2 => {
                return Err(damaged("its restart interval has a wrong length"));
            }
            HUFFMAN_TABLES | QUANTIZATION_TABLES => {
                let tables = raw_tables(segment);
                for table in tables.ok_or_else(|| damaged("one of its tables is not valid"))? {
                    self.add_quantization(table);
                }
                self.table_bytes += segment.body.len();
                if self.table_bytes > MAX_TABLE_BYTES {
                    return Err(damaged("it defines its tables again and again"));
                }
            }
            ARITHMETIC_TABLES => self.has_arithmetic_tables = true,
            JFIF => self.saw_jfif |= self.scans == 0 && segment.body.starts_with(b"JFIF\0"),
            ADOBE if self.scans == 0 && segment.body.starts_with(b"Adobe") => {
                self.adobe = segment.body.get(11).copied().or(self.adobe);
            }
            // Pillow and browsers use the first one.
            EXIF if !self.has_exif => {
                if let Some(tiff) = segment.body.strip_prefix(b"Exif\0\0") {
                    self.has_exif = true;
                    self.orientation = exif::orientation(tiff);
                }
            }
            _ if segment.is_frame() => {
                if self.frame.is_some() {
                    return Err(damaged("it has a second frame header"));
                }
                self.frame = Some(FrameHeader::read(segment)?);
            }
            _ => {}
        }
        Ok(())
    }

    fn add_quantization(&mut self, table: RawTable<'a>) {
        let RawTable::Quantization { index, numbers } = table else { return };
        let known = &mut self.quantization[usize::from(index)];
        self.changes_quantization |= self.scans > 0 && *known != Some(numbers);
        *known = Some(numbers);
    }

    fn add_scan(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        let frame = self.frame.as_ref().ok_or_else(|| damaged("a scan comes before its frame"))?;
        let (count, rest) = body.split_first().ok_or_else(|| damaged("a scan header is short"))?;
        let (selectors, coefficients) = rest
            .split_at_checked(2 * usize::from(*count))
            .filter(|_| (1..=4).contains(count))
            .and_then(|(selectors, rest)| Some((selectors, <&[u8; 3]>::try_from(rest).ok()?)))
            .ok_or_else(|| damaged("a scan header has a wrong length"))?;
        let range = ScanRange::of(*coefficients, *count);
        if frame.coding == JpegCoding::Progressive && range.is_none() {
            return Err(damaged("a scan header is not valid"));
        }
        let mut last = 0;
        for selector in selectors.as_chunks::<2>().0 {
            let place = frame.ids().iter().position(|id| *id == selector[0]);
            let place = place.ok_or_else(|| damaged("a scan is of a colour that is not there"))?;
            self.is_out_of_order |= place < last;
            last = place;
            let is_again = std::mem::replace(&mut self.scanned[place], true);
            if is_again && frame.coding != JpegCoding::Progressive {
                return Err(damaged("a colour is in two scans"));
            }
            if let Some(range) = range {
                self.progression.add(place, range);
            }
        }
        if self.scans == 0 {
            self.first_scan_has_all = *count == frame.count;
        }
        self.has_a_scan_of_some |= *count > 1 && *count < frame.count;
        self.scans += 1;
        self.table_bytes = 0;
        if self.scans > MAX_SCANS {
            return Err(DecodeError::Unsupported { format: "a JPEG of more than 64 scans" });
        }
        Ok(())
    }

    /// Checks whether the file is complete.
    pub(super) fn check(&self, frame: &FrameHeader) -> Result<(), DecodeError> {
        if !self.ended {
            return Err(DecodeError::Truncated { format: Format::Jpeg });
        }
        if !self.scanned[..usize::from(frame.count)].iter().all(|scanned| *scanned) {
            return Err(damaged("one of its colours is in no scan"));
        }
        if self.has_arithmetic_tables && frame.coding != JpegCoding::Arithmetic {
            return Err(damaged("it has tables of arithmetic coding, and Huffman codes"));
        }
        if frame.coding == JpegCoding::Progressive && !self.progression.is_complete() {
            return Err(DecodeError::Truncated { format: Format::Jpeg });
        }
        if frame.coding == JpegCoding::Sequential && self.has_a_scan_of_some {
            let format = "a JPEG with two of its colours in a scan";
            return Err(DecodeError::Unsupported { format });
        }
        if frame.count == 4 && !frame.is_usual_cmyk() {
            return Err(DecodeError::Unsupported { format: "a CMYK JPEG with rare sampling" });
        }
        if frame.count == 3 && !frame.has_luma_in_full() {
            let format = "a JPEG with more pixels of colour than of luma";
            return Err(DecodeError::Unsupported { format });
        }
        if u64::from(self.scans) * limits::pixels(frame.size) > MAX_SCANNED_PIXELS {
            return Err(DecodeError::Unsupported {
                format: "a JPEG of more than 1,000 million pixels times scans",
            });
        }
        Ok(())
    }

    pub(super) fn is_one_scan(&self, frame: &FrameHeader) -> bool {
        frame.coding == JpegCoding::Sequential
            && self.scans == 1
            && self.first_scan_has_all
            && !self.is_out_of_order
    }

    pub(super) fn has_all_coefficients(&self, frame: &FrameHeader) -> bool {
        frame.coding != JpegCoding::Progressive
            || self.progression.has_all_coefficients(frame.count)
    }

    /// Whether `reduced` can decode this kind of file.
    pub(super) fn is_reducible(&self, frame: &FrameHeader) -> bool {
        frame.coding != JpegCoding::Arithmetic
            && self.has_all_coefficients(frame)
            && (frame.count == 1 || frame.count == 3 && self.is_luma_and_colour(frame))
    }

    /// Whether the components are luma and chroma, as libjpeg determines it (jdapimin.c,
    /// `default_decompress_parms`).
    fn is_luma_and_colour(&self, frame: &FrameHeader) -> bool {
        match self.adobe {
            _ if self.saw_jfif => true,
            Some(transform) => transform != 0,
            None => frame.ids() != b"RGB",
        }
    }
}
