//! The headers and tables of a JPEG before the data of its first scan.

use std::rc::Rc;

use super::huffman::{Class, Huffman};
use super::segments::{START_OF_SCAN, Segment, Segments};

/// A baseline JPEG with one scan.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// Height and width in pixels.
    pub(super) size: [usize; 2],
    /// One for greyscale; three for luma and two chroma components.
    pub(super) components: Vec<Component>,
    /// MCUs between restart markers; 0 if there are none.
    pub(super) restart_interval: usize,
    /// The data of the scan, and the rest of the file.
    pub(super) data: &'a [u8],
}

/// A component of an image.
#[derive(Debug)]
pub(super) struct Component {
    /// Blocks in an MCU, vertically and horizontally.
    pub(super) blocks: [usize; 2],
    /// The quantization table, in zigzag order.
    pub(super) quantization: [u16; 64],
    /// The Huffman table of DC coefficients.
    pub(super) dc: Rc<Huffman>,
    /// The Huffman table of AC coefficients.
    pub(super) ac: Rc<Huffman>,
}

impl<'a> Frame<'a> {
    /// `None` for all other kinds of JPEG, even valid ones: with several scans, with CMYK or RGB, or with
    /// missing tables.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (mut tables, mut start) = (Tables::default(), None);
        for segment in Segments::new(bytes) {
            match segment.marker {
                0xDB => tables.add_quantization(segment.body)?,
                0xC4 => tables.add_huffman(segment.body)?,
                0xDD => {
                    tables.restart_interval =
                        usize::from(u16::from_be_bytes(*segment.body.first_chunk()?));
                }
                0xEE => tables.add_adobe(segment.body)?,
                START_OF_SCAN => {
                    let data = bytes.get(segment.end..)?;
                    return Self::of(start?, &tables, &segment, data);
                }
                // Extended sequential JPEGs that pass these checks do not differ from baseline ones.
                0xC0 | 0xC1 if start.is_none() => start = Some(segment.body),
                _ if segment.is_frame() => return None,
                _ => {}
            }
        }
        None
    }

    fn of(start: &[u8], tables: &Tables, scan: &Segment, data: &'a [u8]) -> Option<Self> {
        let &[8, h1, h0, w1, w0, count @ (1 | 3), ref kinds @ ..] = start else { return None };
        let [height, width] =
            [[h1, h0], [w1, w0]].map(|side| usize::from(u16::from_be_bytes(side)));
        let (&[in_scan, ref rest @ ..], true) = (scan.body, height > 0 && width > 0) else {
            return None;
        };
        // All components in one scan, with all frequencies and all bits.
        if in_scan != count || rest.get(2 * usize::from(count)..)? != [0, 63, 0] {
            return None;
        }
        let kinds = kinds.as_chunks::<3>().0.get(..usize::from(count))?;
        let components = kinds
            .iter()
            .zip(rest.as_chunks::<2>().0)
            .map(|(&[id, sampling, quantization], &[same_id, huffman])| {
                let blocks = [sampling & 15, sampling >> 4].map(usize::from);
                let usual = id == same_id && blocks.iter().all(|side| (1..=4).contains(side));
                usual.then_some(Component {
                    // In a scan of one component, an MCU has one block.
                    blocks: if count == 1 { [1, 1] } else { blocks },
                    quantization: (*tables.quantization.get(usize::from(quantization))?)?,
                    dc: tables.dc.get(usize::from(huffman >> 4))?.clone()?,
                    ac: tables.ac.get(usize::from(huffman & 15))?.clone()?,
                })
            })
            .collect::<Option<_>>()?;
        let ids: Vec<u8> = kinds.iter().map(|kind| kind[0]).collect();
        // RGB is marked by Adobe's marker, or by the names of the components.
        (ids != *b"RGB").then_some(Self {
            size: [height, width],
            components,
            restart_interval: tables.restart_interval,
            data,
        })
    }
}

/// The tables that were defined so far.
#[derive(Debug, Default)]
struct Tables {
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<Rc<Huffman>>; 4],
    ac: [Option<Rc<Huffman>>; 4],
    restart_interval: usize,
}

impl Tables {
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
                1 => (Class::Ac, &mut self.ac),
                _ => return None,
            };
            *tables.get_mut(usize::from(kind & 15))? =
                Some(Rc::new(Huffman::new(class, counts, symbols)?));
            body = &rest[symbols.len()..];
        }
        Some(())
    }

    /// `None` if Adobe's marker says RGB.
    #[expect(clippy::unused_self, reason = "it is asked like the others")]
    fn add_adobe(&self, body: &[u8]) -> Option<()> {
        let other = !body.starts_with(b"Adobe");
        (other || body.get(11).is_none_or(|transform| *transform != 0)).then_some(())
    }
}
