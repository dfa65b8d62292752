//! The tables that a file has defined so far.

use std::rc::Rc;

use super::frame_header::FrameHeader;
use super::huffman::{Class, Huffman};
use super::segments::{RESTART_INTERVAL, Segment};
use super::table_segment::{RawClass, RawTable, raw_tables};

/// A quantization table, in zigzag order.
pub(super) type Quantization = [u16; 64];

/// The tables that were defined so far.
#[derive(Debug)]
pub(super) struct Tables {
    quantization: [Option<Quantization>; 4],
    dc: [Option<Rc<Huffman>>; 4],
    ac: [Option<Rc<Huffman>>; 4],
    /// MCUs between restart markers; 0 if there are none.
    pub(super) restart_interval: usize,
    class_of_ac: Class,
}

impl Tables {
    /// No tables yet. `class_of_ac` depends on the coding: progressive files have other symbols.
    pub(super) fn new(class_of_ac: Class) -> Self {
        Self {
            quantization: [None; 4],
            dc: Default::default(),
            ac: Default::default(),
            restart_interval: 0,
            class_of_ac,
        }
    }

    /// The quantization table of a component; `None` if it is missing.
    pub(super) fn quantization(
        &self,
        frame: &FrameHeader,
        component: usize,
    ) -> Option<Quantization> {
        let index = frame.quantization_indices().get(component)?;
        self.quantization.get(usize::from(*index)).copied()?
    }

    /// The Huffman table of DC coefficients with this index; `None` if it is missing.
    pub(super) fn dc(&self, index: usize) -> Option<Rc<Huffman>> {
        self.dc.get(index)?.clone().or_else(|| self.default_of(Class::Dc, index))
    }

    /// The Huffman table of AC coefficients with this index; `None` if it is missing.
    pub(super) fn ac(&self, index: usize) -> Option<Rc<Huffman>> {
        self.ac.get(index)?.clone().or_else(|| self.default_of(self.class_of_ac, index))
    }

    /// The standard's example tables (T.81, K.3), which the images of Motion JPEG use without defining them. As in
    /// libjpeg, progressive files have no default tables.
    fn default_of(&self, class: Class, index: usize) -> Option<Rc<Huffman>> {
        use libjpeg_turbo_rs::common::tables as standard;
        let (counts, symbols) = match (self.class_of_ac, class, index) {
            (Class::Ac, Class::Dc, 0) => {
                (&standard::DC_LUMINANCE_BITS, &standard::DC_LUMINANCE_VALUES[..])
            }
            (Class::Ac, Class::Dc, 1) => {
                (&standard::DC_CHROMINANCE_BITS, &standard::DC_CHROMINANCE_VALUES[..])
            }
            (Class::Ac, Class::Ac, 0) => {
                (&standard::AC_LUMINANCE_BITS, &standard::AC_LUMINANCE_VALUES[..])
            }
            (Class::Ac, Class::Ac, 1) => {
                (&standard::AC_CHROMINANCE_BITS, &standard::AC_CHROMINANCE_VALUES[..])
            }
            _ => return None,
        };
        // The first count is of codes without bits.
        Huffman::new(class, counts[1..].first_chunk()?, symbols).map(Rc::new)
    }

    /// Adds the tables of a segment; other segments are ignored. `None` if it is not valid.
    pub(super) fn add(&mut self, segment: &Segment) -> Option<()> {
        if segment.marker == RESTART_INTERVAL {
            self.restart_interval = usize::from(u16::from_be_bytes(*segment.body.first_chunk()?));
        }
        for table in raw_tables(segment)? {
            match table {
                RawTable::Quantization { index, numbers } => {
                    let mut table = [0; 64];
                    for (to, from) in table.iter_mut().zip(numbers.chunks(numbers.len() / 64)) {
                        *to = from.iter().fold(0, |value, &byte| value << 8 | u16::from(byte));
                    }
                    *self.quantization.get_mut(usize::from(index))? = Some(table);
                }
                RawTable::Huffman { class, index, counts, symbols } => {
                    let (class, tables) = match class {
                        RawClass::Dc => (Class::Dc, &mut self.dc),
                        RawClass::Ac => (self.class_of_ac, &mut self.ac),
                    };
                    let table = Huffman::new(class, counts, symbols)?;
                    *tables.get_mut(usize::from(index))? = Some(Rc::new(table));
                }
            }
        }
        Some(())
    }
}
