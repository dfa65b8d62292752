//! Decodes the Huffman codes of all scans of a file, progressive or not, into planes of coefficients (ITU-T
//! T.81, annexes F and G). Unlike libjpeg-turbo-rs, it can be stopped between rows of blocks.

use super::super::{DecodeError, Watch};
use super::bits::Bits;
use super::coefficients::CoefficientPlane;
use super::damaged;
use super::frame_header::{FrameHeader, JpegCoding};
use super::huffman::Class;
use super::passes::ScanState;
use super::scan_header::{ScanHeader, ScanPart};
use super::segments::{END_OF_IMAGE, START_OF_SCAN, Segments};
use super::tables::{Quantization, Tables};

/// Decodes all scans of the file with this frame header.
///
/// # Errors
///
/// [`DecodeError::Corrupt`] if the data is damaged or truncated; [`DecodeError::Stopped`].
pub(super) fn read(
    bytes: &[u8],
    frame: &FrameHeader,
    watch: Watch<'_>,
) -> Result<Vec<CoefficientPlane>, DecodeError> {
    let class = match frame.coding {
        JpegCoding::Progressive => Class::ProgressiveAc,
        JpegCoding::Sequential | JpegCoding::Arithmetic => Class::Ac,
    };
    let (mut tables, mut planes) = (Tables::new(class), CoefficientPlane::all(frame));
    let layouts = frame.layouts();
    for segment in Segments::new(bytes) {
        match segment.marker {
            END_OF_IMAGE => break,
            START_OF_SCAN => {
                let header = ScanHeader::read(&segment, frame)?;
                for component in header.components() {
                    let plane = &mut planes[component];
                    plane.quantization =
                        plane.quantization.or_else(|| tables.quantization(frame, component));
                }
                let parts = header.parts(&tables, &layouts)?;
                let data = bytes.get(segment.end..).unwrap_or_default();
                Scan::new(parts, tables.restart_interval, data).decode(&mut planes, watch)?;
            }
            _ => tables.add(&segment).ok_or_else(|| damaged("one of its tables is not valid"))?,
        }
    }
    Ok(planes)
}

/// The only scan of a sequential file, before it is decoded.
pub(super) struct OnlyScan<'a> {
    pub(super) parts: Vec<ScanPart>,
    /// The quantization tables of its components.
    pub(super) quantization: Vec<Quantization>,
    /// MCUs between restart markers; 0 if there are none.
    pub(super) restart_interval: usize,
    /// The data of the scan, and the rest of the file.
    pub(super) data: &'a [u8],
}

impl<'a> OnlyScan<'a> {
    /// Reads the headers up to the first scan.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Corrupt`] if a table is missing or not valid.
    pub(super) fn read(bytes: &'a [u8], frame: &FrameHeader) -> Result<Self, DecodeError> {
        let mut tables = Tables::new(Class::Ac);
        for segment in Segments::new(bytes) {
            if segment.marker == START_OF_SCAN {
                let header = ScanHeader::read(&segment, frame)?;
                let quantization = header.components().map(|part| tables.quantization(frame, part));
                return Ok(Self {
                    parts: header.parts(&tables, &frame.layouts())?,
                    quantization: quantization
                        .collect::<Option<_>>()
                        .ok_or_else(|| damaged("a quantization table is missing"))?,
                    restart_interval: tables.restart_interval,
                    data: bytes.get(segment.end..).unwrap_or_default(),
                });
            }
            tables.add(&segment).ok_or_else(|| damaged("one of its tables is not valid"))?;
        }
        Err(damaged("it has no scan"))
    }
}

/// The state of decoding a scan.
struct Scan<'a> {
    parts: Vec<ScanPart>,
    bits: Bits<'a>,
    state: ScanState,
    /// MCUs between restart markers; 0 if there are none.
    restart_interval: usize,
    until_restart: usize,
    restarts: u8,
}

impl<'a> Scan<'a> {
    fn new(parts: Vec<ScanPart>, restart_interval: usize, data: &'a [u8]) -> Self {
        Self {
            parts,
            bits: Bits::new(data),
            state: ScanState::default(),
            restart_interval,
            until_restart: restart_interval,
            restarts: 0,
        }
    }

    fn decode(
        mut self,
        planes: &mut [CoefficientPlane],
        watch: Watch<'_>,
    ) -> Result<(), DecodeError> {
        let [rows, columns] = self.parts.first().map_or([0; 2], |part| part.mcus);
        for row in 0..rows {
            watch.check()?;
            for column in 0..columns {
                if self.restart_interval > 0 {
                    self.restart_if_due()?;
                }
                self.mcu([row, column], planes)?;
            }
        }
        Ok(())
    }

    fn restart_if_due(&mut self) -> Result<(), DecodeError> {
        if self.until_restart == 0 {
            self.bits.restart(self.restarts % 8)?;
            self.restarts = self.restarts.wrapping_add(1);
            self.state = ScanState::default();
            self.until_restart = self.restart_interval;
        }
        self.until_restart -= 1;
        Ok(())
    }

    #[inline]
    fn mcu(&mut self, at: [usize; 2], planes: &mut [CoefficientPlane]) -> Result<(), DecodeError> {
        for part in &self.parts {
            let plane = &mut planes[part.component];
            let [down, across] = part.in_mcu;
            for y in 0..down {
                let start = plane.index(at[0] * down + y, at[1] * across);
                for block in &mut plane.blocks[start..start + across] {
                    part.pass.decode(part.component, &mut self.bits, &mut self.state, block)?;
                }
            }
        }
        self.bits.check()
    }
}
