//! The blocks of an image, from the data of its only scan or from planes of coefficients.

use std::rc::Rc;

use super::super::DecodeError;
use super::bits::Bits;
use super::coefficients::CoefficientPlane;
use super::damaged;
use super::huffman::{self, END_OF_BLOCK, Huffman};
use super::idct::Coefficients;
use super::passes::Pass;
use super::scaling::ScaledComponent;
use super::scans::OnlyScan;

/// The place of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockPlace {
    pub(super) component: usize,
    /// Row and column among the component's blocks.
    pub(super) row: usize,
    pub(super) column: usize,
}

/// The content of a block.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// Only the DC coefficient is not 0.
    Flat,
    /// Other coefficients are not 0.
    Varied,
}

/// The blocks of an image. They are requested in the order of a scan of all components: MCU by MCU, in an MCU
/// component by component, and row by row.
pub(super) trait BlockSource {
    /// Comes before the blocks of each MCU.
    fn start_mcu(&mut self) -> Result<(), DecodeError>;

    /// Writes the dequantized coefficients that `scaled` needs and that are not 0; with [`Content::Flat`] only the
    /// first one. Those after the first 64 are undefined.
    fn block(
        &mut self,
        place: BlockPlace,
        scaled: &ScaledComponent,
        to: &mut Coefficients,
    ) -> Result<Content, DecodeError>;

    /// Comes after the blocks of each MCU.
    fn end_mcu(&mut self) -> Result<(), DecodeError>;
}

/// The blocks of a sequential file with one scan.
pub(super) struct ScanBlocks<'a> {
    components: Vec<ScanComponent>,
    bits: Bits<'a>,
    /// MCUs between restart markers; 0 if there are none.
    restart_interval: usize,
    /// Number of MCUs that were started.
    started: usize,
}

/// A component of a scan of all coefficients.
struct ScanComponent {
    dc: Rc<Huffman>,
    ac: Rc<Huffman>,
    /// The DC coefficient of the last block.
    last_dc: i32,
}

impl<'a> ScanBlocks<'a> {
    /// `None` if the scan does not contain all coefficients.
    pub(super) fn new(scan: OnlyScan<'a>) -> Option<Self> {
        let components = scan.parts.into_iter().map(|part| match part.pass {
            Pass::All { dc, ac } => Some(ScanComponent { dc, ac, last_dc: 0 }),
            Pass::FirstDc { .. }
            | Pass::RefineDc { .. }
            | Pass::FirstAc { .. }
            | Pass::RefineAc { .. } => None,
        });
        Some(Self {
            components: components.collect::<Option<_>>()?,
            bits: Bits::new(scan.data),
            restart_interval: scan.restart_interval,
            started: 0,
        })
    }
}

impl BlockSource for ScanBlocks<'_> {
    #[inline]
    fn start_mcu(&mut self) -> Result<(), DecodeError> {
        let interval = self.restart_interval;
        if interval > 0 && self.started > 0 && self.started.is_multiple_of(interval) {
            let number = (self.started / interval - 1) % 8;
            self.bits.restart(u8::try_from(number).expect("less than 8"))?;
            self.components.iter_mut().for_each(|component| component.last_dc = 0);
        }
        self.started += 1;
        Ok(())
    }

    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "what is not exact is cut at black or white")]
    fn block(
        &mut self,
        place: BlockPlace,
        scaled: &ScaledComponent,
        to: &mut Coefficients,
    ) -> Result<Content, DecodeError> {
        let ScanComponent { dc, ac, last_dc } = &mut self.components[place.component];
        let ScaledComponent { factors, places, last, .. } = scaled;
        let bits = &mut self.bits;
        let ahead = bits.peek();
        let symbol = dc.read(ahead);
        if symbol.code == 0 {
            return Err(damaged("its data has a code that its tables have not"));
        }
        bits.skip(symbol.both.into());
        *last_dc = last_dc.wrapping_add(huffman::value(ahead << symbol.code, symbol.size));
        to[0] = *last_dc as f32 * factors[0];

        let (mut k, mut content) = (0, Content::Flat);
        while k < *last {
            let ahead = bits.peek();
            let symbol = ac.read(ahead);
            bits.skip(symbol.both.into());
            if symbol.advance == END_OF_BLOCK {
                return Ok(content);
            }
            // As in libjpeg, coefficients beyond a block are written to its end.
            k = (k + usize::from(symbol.advance)).min(63);
            if symbol.size > 0 {
                let place = places[k];
                let value = huffman::value(ahead << symbol.code, symbol.size);
                to[usize::from(place & 127)] = value as f32 * factors[k];
                content = Content::Varied;
            } else if symbol.code == 0 {
                return Err(damaged("its data has a code that its tables have not"));
            }
        }
        // The remaining coefficients are not needed at this size.
        while k < 63 {
            let symbol = ac.read(bits.peek());
            bits.skip(symbol.both.into());
            if symbol.code == 0 {
                return Err(damaged("its data has a code that its tables have not"));
            }
            k += usize::from(symbol.advance);
        }
        Ok(content)
    }

    #[inline]
    fn end_mcu(&mut self) -> Result<(), DecodeError> {
        self.bits.check()
    }
}

/// The blocks of planes.
pub(super) struct PlaneBlocks<'a>(pub(super) &'a [CoefficientPlane]);

impl BlockSource for PlaneBlocks<'_> {
    #[inline]
    fn start_mcu(&mut self) -> Result<(), DecodeError> {
        Ok(())
    }

    #[inline]
    fn block(
        &mut self,
        at: BlockPlace,
        scaled: &ScaledComponent,
        to: &mut Coefficients,
    ) -> Result<Content, DecodeError> {
        let plane = &self.0[at.component];
        let block = &plane.blocks[plane.index(at.row, at.column)];
        to[0] = f32::from(block.values[0]) * scaled.factors[0];
        let mut content = Content::Flat;
        for k in 1..=scaled.last.min(block.last.into()) {
            if block.values[k] != 0 {
                to[usize::from(scaled.places[k])] = f32::from(block.values[k]) * scaled.factors[k];
                content = Content::Varied;
            }
        }
        Ok(content)
    }

    #[inline]
    fn end_mcu(&mut self) -> Result<(), DecodeError> {
        Ok(())
    }
}
