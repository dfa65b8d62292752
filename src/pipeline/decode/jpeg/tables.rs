//! The tables that a file has defined so far.

use std::rc::Rc;

use super::frame_header::FrameHeader;
use super::huffman::{Class, Huffman};
use super::segments::{HUFFMAN_TABLES, QUANTIZATION_TABLES, RESTART_INTERVAL, Segment};

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

    /// Adds the tables of a segment; other segments are ignored. `None` if it is malformed.
    pub(super) fn add(&mut self, segment: &Segment) -> Option<()> {
        match segment.marker {
            QUANTIZATION_TABLES => self.add_quantization(segment.body),
            HUFFMAN_TABLES => self.add_huffman(segment.body),
            RESTART_INTERVAL => {
                self.restart_interval =
                    usize::from(u16::from_be_bytes(*segment.body.first_chunk()?));
                Some(())
            }
            _ => Some(()),
        }
    }

    fn add_quantization(&mut self, mut body: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = body {
            let wide = kind >> 4;
            let length = if wide == 0 { 64 } else { 128 };
            let values = rest.get(..length)?;
            let mut table = [0; 64];
            for (to, from) in table.iter_mut().zip(values.chunks(length / 64)) {
                *to = from.iter().fold(0, |value, &byte| value << 8 | u16::from(byte));
            }
            *self.quantization.get_mut(usize::from(kind & 15)).filter(|_| wide <= 1)? = Some(table);
            body = &rest[length..];
        }
        Some(())
    }

    fn add_huffman(&mut self, mut body: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = body {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let symbols = rest.get(..counts.iter().map(|&count| usize::from(count)).sum())?;
            let (class, tables) = match kind >> 4 {
                0 => (Class::Dc, &mut self.dc),
                1 => (self.class_of_ac, &mut self.ac),
                _ => return None,
            };
            *tables.get_mut(usize::from(kind & 15))? =
                Some(Rc::new(Huffman::new(class, counts, symbols)?));
            body = &rest[symbols.len()..];
        }
        Some(())
    }
}
