//! Inspects a file in one pass over its segments, without decoding and without building tables.

use std::time::Duration;

use image::metadata::Orientation;

use super::super::{DecodeError, Format, Limits, Reduction, exif, limits};
use super::coefficients::CoefficientPlane;
use super::frame_header::{FrameHeader, JpegCoding};
use super::progression::{Progression, ScanRange};
use super::segments::{
    ADOBE, ARITHMETIC_TABLES, END_OF_IMAGE, EXIF, HUFFMAN_TABLES, JFIF, QUANTIZATION_TABLES,
    RESTART_INTERVAL, START_OF_IMAGE, START_OF_SCAN, Segment, Segments,
};
use super::table_segment::{RawTable, raw_tables};
use super::{damaged, scaling};

/// Facts that are needed before decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Outline {
    pub(super) frame: FrameHeader,
    /// Number of scans.
    pub(in super::super) scans: u32,
    /// The orientation.
    pub(in super::super) orientation: Orientation,
    /// The largest reduced size that its coding allows.
    pub(in super::super) largest_scaled_size: Option<Reduction>,
    /// Bytes from the start to the last marker, without metadata segments.
    data_bytes: u64,
    /// Whether the first scan contains all components.
    is_interleaved: bool,
    is_one_scan: bool,
    /// Whether all coefficients were sent.
    has_all_coefficients: bool,
    /// Whether libjpeg-turbo-rs decodes it to other pixels than libjpeg, or not at all.
    must_be_rewritten: bool,
}

/// Maximum number of scans, more than any encoder writes: a progressive file has 10 by default, and 18 for
/// CMYK.
const MAX_SCANS: u32 = 64;

/// Maximum of pixels times scans, because each scan takes time for every pixel. 50 megapixels may have 20
/// scans, as many as any encoder writes.
const MAX_SCANNED_PIXELS: u64 = 1_000_000_000;

/// Maximum predicted time of a decode that cannot be stopped.
pub(super) const MAX_TIME_UNSTOPPED: Duration = Duration::from_millis(100);

/// Maximum size of tables before a scan. At most eight of 273 bytes for codes and four of 129 for
/// coefficients can be used.
const MAX_TABLE_BYTES: usize = 16 << 10;

/// Size of the tables that the decoder keeps for each scan.
const BYTES_PER_SCAN: u64 = 44 << 10;

/// Tenths of nanoseconds per pixel for each scan after the first. Even an empty scan takes most of this time.
const EACH_SCAN: u64 = 5;

impl Outline {
    /// Reads the outline of a file.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the file exceeds a limit, is of an unsupported kind, or is incomplete.
    pub(in super::super) fn read(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        let mut found = Walked::default();
        let mut walk = Segments::new(bytes);
        for segment in walk.by_ref() {
            found.add(&segment)?;
            if found.ended {
                break;
            }
        }
        let frame = match found.frame {
            Some(frame) => frame,
            None if found.ended => return Err(damaged("it has no frame header")),
            None => return Err(DecodeError::Truncated { format: Format::Jpeg }),
        };
        limits.check_size(Format::Jpeg, frame.size)?;
        found.check(&frame)?;
        if !walk.restarts_in_order() {
            return Err(damaged("its restart markers are out of order"));
        }
        let largest_scaled_size =
            found.is_reducible(&frame).then(|| scaling::largest_scaled_size(&frame)).flatten();
        let outline = Self {
            frame,
            scans: found.scans,
            orientation: found.orientation.unwrap_or(Orientation::NoTransforms),
            largest_scaled_size,
            data_bytes: found.data_bytes as u64,
            is_interleaved: found.first_scan_has_all,
            is_one_scan: found.is_one_scan(&frame),
            has_all_coefficients: found.has_all_coefficients(&frame),
            must_be_rewritten: found.changes_quantization || found.is_out_of_order,
        };
        outline.check_ways()?;
        Ok(outline)
    }

    /// Whether libjpeg-turbo-rs decodes it to other pixels than libjpeg, or not at all: a scan has components in
    /// another order than the frame, or a quantization table is redefined after a scan.
    pub(super) fn must_be_rewritten(&self) -> bool {
        self.must_be_rewritten
    }

    /// Rejects files that can neither be rewritten nor decoded as a whole: those that libjpeg-turbo-rs decodes to other
    /// pixels than libjpeg, and large ones, because their decode cannot be stopped.
    fn check_ways(&self) -> Result<(), DecodeError> {
        if self.must_be_rewritten && !self.can_be_rewritten() {
            let format = "a JPEG with tables or scans in a rare order";
            return Err(DecodeError::Unsupported { format });
        }
        let can_be_stopped = self.is_a_stream() || self.can_be_rewritten();
        if can_be_stopped || self.decode_time(Reduction::None) <= MAX_TIME_UNSTOPPED {
            return Ok(());
        }
        Err(DecodeError::Unsupported {
            format: match self.frame.coding {
                JpegCoding::Arithmetic => "a large JPEG with arithmetic coding",
                JpegCoding::Sequential | JpegCoding::Progressive => {
                    "a large progressive JPEG without the details of its colours"
                }
            },
        })
    }

    /// The predicted decode time at the size of `reduction`: see [`Header::decode_time`](super::super::Header::decode_time).
    /// It depends on the bytes as well as on the pixels: noise takes ten times as long as a uniform image.
    pub(in super::super) fn decode_time(&self, reduction: Reduction) -> Duration {
        // Tenths of nanoseconds.
        let (each_pixel, each_byte) = match (reduction, self.frame.coding) {
            (Reduction::None, JpegCoding::Sequential) => (15, 110),
            (Reduction::None, JpegCoding::Progressive) => (15, 250),
            (Reduction::None, JpegCoding::Arithmetic) => (18, 1400),
            (Reduction::Half | Reduction::Quarter | Reduction::Eighth, JpegCoding::Progressive) => {
                (5, 250)
            }
            (Reduction::Half | Reduction::Quarter | Reduction::Eighth, _) => (5, 80),
        };
        let each_pixel = each_pixel + u64::from(self.scans - 1) * EACH_SCAN;
        let pixels = limits::pixels(self.frame.size).saturating_mul(each_pixel);
        Duration::from_nanos(pixels.saturating_add(self.data_bytes.saturating_mul(each_byte)) / 10)
    }

    /// Columns and rows, as stored.
    pub(in super::super) fn size(&self) -> [u32; 2] {
        self.frame.size
    }

    /// Number of components: 1, 3, or 4 for CMYK.
    pub(in super::super) fn components(&self) -> u8 {
        self.frame.count
    }

    /// Memory of decoding at the size of `reduction` in addition to the upload and its copies, in bytes. At reduced
    /// size it is in addition to the pixels.
    pub(in super::super) fn working_bytes(&self, reduction: Reduction) -> u64 {
        let coefficients = CoefficientPlane::bytes(&self.frame);
        match reduction {
            Reduction::None => {
                let coefficients = if self.is_a_stream() { 0 } else { coefficients };
                let tables = u64::from(self.scans - 1) * BYTES_PER_SCAN;
                self.frame.working_bytes(coefficients) + tables
            }
            Reduction::Half | Reduction::Quarter | Reduction::Eighth if self.is_one_scan => 0,
            Reduction::Half | Reduction::Quarter | Reduction::Eighth => coefficients,
        }
    }

    /// Whether all coefficients are in one scan, block by block, in the order of the components.
    pub(super) fn is_one_scan(&self) -> bool {
        self.is_one_scan
    }

    /// Whether pixels are decoded in the order of the file's bytes.
    pub(super) fn is_a_stream(&self) -> bool {
        self.is_interleaved
            && self.frame.coding == JpegCoding::Sequential
            && self.frame.count > 1
            && !self.must_be_rewritten
    }

    /// Whether the same coefficients in one scan give the same pixels. libjpeg smooths between blocks if some of a
    /// progressive file are missing.
    pub(super) fn can_be_rewritten(&self) -> bool {
        self.frame.coding != JpegCoding::Arithmetic && self.has_all_coefficients
    }
}

/// The facts that were found so far.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that was seen, or not")]
struct Walked<'a> {
    frame: Option<FrameHeader>,
    scans: u32,
    /// By component: whether a scan contains it.
    scanned: [bool; 4],
    first_scan_has_all: bool,
    /// Whether a scan has components in another order than the frame header.
    is_out_of_order: bool,
    /// Whether a scan contains several, but not all components.
    has_a_scan_of_some: bool,
    progression: Progression,
    orientation: Option<Orientation>,
    has_exif: bool,
    has_arithmetic_tables: bool,
    saw_jfif: bool,
    adobe: Option<u8>,
    table_bytes: usize,
    /// By index: the quantization table.
    quantization: [Option<&'a [u8]>; 4],
    changes_quantization: bool,
    data_bytes: usize,
    described: usize,
    ended: bool,
}

impl<'a> Walked<'a> {
    fn add(&mut self, segment: &Segment<'a>) -> Result<(), DecodeError> {
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
        self.changes_quantization |= self.scans > 0 && known.is_some_and(|known| known != numbers);
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
    fn check(&self, frame: &FrameHeader) -> Result<(), DecodeError> {
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

    fn is_one_scan(&self, frame: &FrameHeader) -> bool {
        frame.coding == JpegCoding::Sequential
            && self.scans == 1
            && self.first_scan_has_all
            && !self.is_out_of_order
    }

    fn has_all_coefficients(&self, frame: &FrameHeader) -> bool {
        frame.coding != JpegCoding::Progressive
            || self.progression.has_all_coefficients(frame.count)
    }

    /// Whether `reduced` can decode this kind of file.
    fn is_reducible(&self, frame: &FrameHeader) -> bool {
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
