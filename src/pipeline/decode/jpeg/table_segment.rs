//! The tables in a segment, before they are built (ITU-T T.81, B.2.4).

use super::segments::{HUFFMAN_TABLES, QUANTIZATION_TABLES, Segment};

/// A table in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RawTable<'a> {
    /// A quantization table with this index: 64 numbers of one or two bytes, in zigzag order.
    Quantization { index: u8, numbers: &'a [u8] },
    /// A Huffman table.
    Huffman { class: RawClass, index: u8, counts: &'a [u8; 16], symbols: &'a [u8] },
}

/// The coefficients that a Huffman table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RawClass {
    Dc,
    Ac,
}

/// The tables of a segment; none if it contains no tables. `None` if libjpeg rejects one of them (jdmarker.c and
/// jdhuff.c), even if no scan uses it.
pub(super) fn raw_tables<'a>(segment: &Segment<'a>) -> Option<Vec<RawTable<'a>>> {
    let next = match segment.marker {
        QUANTIZATION_TABLES => next_quantization,
        HUFFMAN_TABLES => next_huffman,
        _ => return Some(Vec::new()),
    };
    let (mut tables, mut rest) = (Vec::new(), segment.body);
    while let Some((&kind, body)) = rest.split_first() {
        let (class, index) = (kind >> 4, kind & 15);
        if class > 1 || index > 3 {
            return None;
        }
        let (table, after) = next(class, index, body)?;
        tables.push(table);
        rest = after;
    }
    Some(tables)
}

fn next_quantization(precision: u8, index: u8, body: &[u8]) -> Option<(RawTable<'_>, &[u8])> {
    let (numbers, rest) = body.split_at_checked(64 << precision)?;
    Some((RawTable::Quantization { index, numbers }, rest))
}

fn next_huffman(class: u8, index: u8, body: &[u8]) -> Option<(RawTable<'_>, &[u8])> {
    let class = if class == 0 { RawClass::Dc } else { RawClass::Ac };
    let (counts, rest) = body.split_first_chunk::<16>()?;
    let (symbols, rest) =
        rest.split_at_checked(counts.iter().map(|count| usize::from(*count)).sum())?;
    // The symbol of a DC coefficient is a number of bits.
    let has_valid_symbols = class == RawClass::Ac || symbols.iter().all(|symbol| *symbol <= 15);
    let is_valid = symbols.len() <= 256 && has_valid_symbols && has_valid_codes(counts);
    is_valid.then_some((RawTable::Huffman { class, index, counts, symbols }, rest))
}

/// Whether there are enough codes of each length; a code of ones only is not allowed.
fn has_valid_codes(counts: &[u8; 16]) -> bool {
    let mut code = 0_u32;
    (1..).zip(counts).all(|(length, count)| {
        code = (code << 1) + u32::from(*count);
        *count == 0 || code < 1 << length
    })
}
