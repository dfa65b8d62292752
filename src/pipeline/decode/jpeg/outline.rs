//! Inspects a file in one pass over its segments, without decoding and without building tables.

use std::time::Duration;

use image::metadata::Orientation;

use super::super::{DecodeError, Format, Limits, Reduction, limits};
use super::coefficients::CoefficientPlane;
use super::frame_header::{FrameHeader, JpegCoding};
use super::segments::Segments;
use super::walked::Walked;
use super::{damaged, scaling};

/// The result of an inspection: what decides whether, at which size and in which way a file is decoded.
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
    /// Whether it is sequential with one scan, which has its components in order.
    is_one_scan: bool,
    /// Whether all coefficients were sent.
    has_all_coefficients: bool,
    /// Whether libjpeg-turbo-rs rejects it, or decodes it to other pixels than libjpeg.
    must_be_rewritten: bool,
}

/// Maximum predicted time of a decode that cannot be stopped.
pub(super) const MAX_TIME_UNSTOPPED: Duration = Duration::from_millis(100);

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
            is_one_scan: found.is_one_scan(&frame),
            has_all_coefficients: found.has_all_coefficients(&frame),
            must_be_rewritten: found.changes_quantization || found.is_out_of_order,
        };
        outline.check_ways()?;
        Ok(outline)
    }

    /// Whether libjpeg-turbo-rs rejects it, or decodes it to other pixels than libjpeg: a scan has components in
    /// another order than the frame, or a quantization table is defined after a scan.
    pub(super) fn must_be_rewritten(&self) -> bool {
        self.must_be_rewritten
    }

    /// Rejects files that can neither be rewritten nor decoded in one piece: those that libjpeg-turbo-rs decodes to other
    /// pixels than libjpeg, and large ones, because their decode cannot be stopped.
    fn check_ways(&self) -> Result<(), DecodeError> {
        if self.must_be_rewritten && !self.can_be_rewritten() {
            let format =
                "a JPEG with components in another order, or a quantization table after a scan";
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
                    "a large progressive JPEG that omits coefficients of chroma"
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

    /// Whether all coefficients are in one scan, block by block.
    pub(super) fn is_one_scan(&self) -> bool {
        self.is_one_scan
    }

    /// Whether libjpeg-turbo-rs can decode it in parts.
    pub(super) fn is_a_stream(&self) -> bool {
        self.is_one_scan && self.frame.count > 1
    }

    /// Whether the same coefficients in one scan give the same pixels. libjpeg smooths between blocks if some of a
    /// progressive file are missing.
    pub(super) fn can_be_rewritten(&self) -> bool {
        self.frame.coding != JpegCoding::Arithmetic && self.has_all_coefficients
    }
}
