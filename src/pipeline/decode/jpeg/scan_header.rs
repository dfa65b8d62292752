//! The header of a scan: its components with their tables, and the coefficients that it contains.

use super::super::DecodeError;
use super::damaged;
use super::frame_header::{BlockLayout, FrameHeader, JpegCoding};
use super::passes::{Band, Pass};
use super::progression::ScanRange;
use super::segments::Segment;
use super::tables::Tables;

/// The content of a scan header.
#[derive(Debug)]
pub(super) struct ScanHeader {
    selectors: Vec<Selector>,
    /// `None` if the file is not progressive: all coefficients.
    range: Option<ScanRange>,
}

/// A component in a scan.
#[derive(Debug)]
struct Selector {
    component: usize,
    /// Indices of its Huffman tables.
    dc: usize,
    ac: usize,
}

impl ScanHeader {
    pub(super) fn read(segment: &Segment, frame: &FrameHeader) -> Result<Self, DecodeError> {
        let invalid = || damaged("a scan header is not valid");
        let (&count, rest) = segment.body.split_first().ok_or_else(invalid)?;
        let (selectors, numbers) = rest
            .split_at_checked(2 * usize::from(count))
            .and_then(|(selectors, rest)| Some((selectors, rest.first_chunk()?)))
            .ok_or_else(invalid)?;
        let mut found: Vec<Selector> = Vec::new();
        for &[id, tables] in selectors.as_chunks::<2>().0 {
            let component = frame.ids().iter().position(|own| *own == id).ok_or_else(invalid)?;
            if found.iter().any(|other| other.component == component) {
                return Err(damaged("a scan has a colour twice"));
            }
            let [dc, ac] = [tables >> 4, tables & 15].map(usize::from);
            if dc > 3 || ac > 3 {
                return Err(invalid());
            }
            found.push(Selector { component, dc, ac });
        }
        let range = match frame.coding {
            JpegCoding::Progressive => Some(ScanRange::of(*numbers, count).ok_or_else(invalid)?),
            JpegCoding::Sequential | JpegCoding::Arithmetic => None,
        };
        Ok(Self { selectors: found, range })
    }

    /// The indices of its components.
    pub(super) fn components(&self) -> impl Iterator<Item = usize> {
        self.selectors.iter().map(|selector| selector.component)
    }

    /// Its components with their tables, for a file with these `layouts`.
    pub(super) fn parts(
        &self,
        tables: &Tables,
        layouts: &[BlockLayout],
    ) -> Result<Vec<ScanPart>, DecodeError> {
        let parts = self.selectors.iter().map(|selector| {
            let layout = layouts[selector.component];
            let in_mcu = if self.selectors.len() == 1 { [1, 1] } else { layout.in_mcu };
            Ok(ScanPart {
                component: selector.component,
                in_mcu,
                mcus: [0, 1].map(|way| layout.used[way].div_ceil(in_mcu[way])),
                pass: self.pass(selector, tables)?,
            })
        });
        parts.collect()
    }

    fn pass(&self, selector: &Selector, tables: &Tables) -> Result<Pass, DecodeError> {
        let missing = || damaged("a scan uses a table that is missing");
        let dc = || tables.dc(selector.dc).ok_or_else(missing);
        let ac = || tables.ac(selector.ac).ok_or_else(missing);
        let Some(ScanRange { first, last, is_refinement, low }) = self.range else {
            return Ok(Pass::All { dc: dc()?, ac: ac()? });
        };
        let band = Band { first: first.into(), last: last.into(), low };
        Ok(match (first, is_refinement) {
            (0, false) => Pass::FirstDc { dc: dc()?, low },
            (0, true) => Pass::RefineDc { low },
            (_, false) => Pass::FirstAc { ac: ac()?, band },
            (_, true) => Pass::RefineAc { ac: ac()?, band },
        })
    }
}

/// A component's part of a scan.
#[derive(Debug)]
pub(super) struct ScanPart {
    pub(super) component: usize,
    /// Blocks in an MCU of this scan, vertically and horizontally.
    pub(super) in_mcu: [usize; 2],
    /// Rows and columns of MCUs.
    pub(super) mcus: [usize; 2],
    pub(super) pass: Pass,
}
