//! Decodes Huffman codes (ITU-T T.81, annexes C and F).

/// The coefficients of a block that a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The first coefficient: a symbol is the size of its value.
    Dc,
    /// The other coefficients: a symbol is a run of zeros, and the size of the value after it.
    Ac,
    /// The same in progressive files, where a symbol can also end several blocks.
    ProgressiveAc,
}

/// A decoded code.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Symbol {
    /// Bits of the code; 0 if the bits are not a code.
    pub(super) code: u8,
    /// Bits of the value after the code, 0 to 15. After [`END_OF_BLOCK`] in a progressive file, the bits of the
    /// number of further blocks that end (T.81, G.1.2.2).
    pub(super) size: u8,
    /// Bits of both.
    pub(super) both: u8,
    /// The number of coefficients to advance in zigzag order to the value; [`END_OF_BLOCK`] if all others
    /// are 0.
    pub(super) advance: u8,
}

/// More than the coefficients of a block. Added to the largest possible position, it is less than 256.
pub(super) const END_OF_BLOCK: u8 = 128;

/// Bits of codes in the lookup table; longer codes are rare and are searched by length.
const LOOKUP_BITS: usize = 10;

/// A Huffman table.
#[derive(Debug)]
pub(super) struct Huffman {
    /// Symbols by the next bits.
    lookup: Box<[Symbol; 1 << LOOKUP_BITS]>,
    /// Symbols in the order of their codes.
    symbols: Vec<Symbol>,
    /// By length: the first 16 bits beyond codes of this length and shorter ones.
    ends: [u32; 17],
    /// By length: the offset from a code to the index of its symbol.
    places: [i32; 17],
}

impl Huffman {
    /// A table from the `counts` of codes for each length from 1 on, and their symbols in order. `None` if
    /// the table is invalid.
    pub(super) fn new(class: Class, counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            lookup: Box::new([Symbol::default(); 1 << LOOKUP_BITS]),
            symbols: Vec::with_capacity(symbols.len()),
            ends: [0; 17],
            places: [0; 17],
        };
        let mut rest = symbols.iter();
        let mut code = 0_u32;
        for (length, &count) in (1_u8..).zip(counts) {
            let bits = usize::from(length);
            table.places[bits] = i32::try_from(table.symbols.len()).ok()? - code.cast_signed();
            for _ in 0..count {
                let symbol = meaning(class, length, *rest.next()?)?;
                if bits <= LOOKUP_BITS {
                    let spare = LOOKUP_BITS - bits;
                    let first = (code as usize) << spare;
                    table.lookup.get_mut(first..first + (1 << spare))?.fill(symbol);
                }
                table.symbols.push(symbol);
                code += 1;
            }
            if count > 0 && code >= 1 << length {
                return None;
            }
            table.ends[bits] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    /// Decodes the next bits, highest first. The symbol has a code of 0 bits if they are not a code.
    #[inline]
    pub(super) fn read(&self, bits: u64) -> Symbol {
        let found = self.lookup[(bits >> (64 - LOOKUP_BITS)) as usize];
        if found.code == 0 { self.read_longer(bits) } else { found }
    }

    #[cold]
    fn read_longer(&self, bits: u64) -> Symbol {
        let next = (bits >> 48) as u32;
        let symbol = (LOOKUP_BITS + 1..=16).find(|&bits| next < self.ends[bits]).and_then(|bits| {
            let code = (next >> (16 - bits)).cast_signed();
            self.symbols.get(usize::try_from(code + self.places[bits]).ok()?)
        });
        symbol.copied().unwrap_or_default()
    }
}

/// The symbol for a byte of a table, whose code has `code` bits.
fn meaning(class: Class, code: u8, symbol: u8) -> Option<Symbol> {
    let (run, size) = (symbol >> 4, symbol & 15);
    let advance = match (class, run, size) {
        (Class::Dc, 0, _) => 0,
        (Class::Dc, _, _) => return None,
        (Class::Ac | Class::ProgressiveAc, 15, 0) => 16,
        (Class::Ac, _, 0) => END_OF_BLOCK,
        (Class::ProgressiveAc, _, 0) => {
            return Some(Symbol { code, size: run, both: code + run, advance: END_OF_BLOCK });
        }
        (Class::Ac | Class::ProgressiveAc, _, _) => run + 1,
    };
    Some(Symbol { code, size, both: code + size, advance })
}

/// The value of `size` bits at the top of `bits` (table F.1: the lower half of the values is negative).
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most 15 bits are left")]
pub(super) fn value(bits: u64, size: u8) -> i32 {
    let raw = ((bits >> 1) >> (63 - size)) as i32;
    // All ones if the first bit is 0.
    let negative = ((bits >> 63) as i32) - 1;
    raw + (negative & (1 - (1 << size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_every_length_are_decoded_and_others_are_rejected() {
        // One code of each length: 0, 10, 110, ..., fifteen ones and a 0. Sixteen ones are not a code.
        let symbols: Vec<u8> = (1..=16).collect();
        let table = Huffman::new(Class::Ac, &[1; 16], &symbols).unwrap();
        for length in 1..=16_u8 {
            let bits = !(1 << (64 - length));
            let symbol = table.read(bits);
            assert_eq!(symbol.code, length);
            assert_eq!(symbol.size, length % 16);
        }
        assert_eq!(table.read(u64::MAX).code, 0);
    }

    #[test]
    fn invalid_tables_are_rejected() {
        let counts = |length: usize, count| {
            let mut counts = [0; 16];
            counts[length - 1] = count;
            counts
        };
        assert!(Huffman::new(Class::Ac, &counts(1, 3), &[1, 2, 3]).is_none(), "too many codes");
        assert!(Huffman::new(Class::Ac, &counts(2, 3), &[1, 2]).is_none(), "too few symbols");
        assert!(Huffman::new(Class::Dc, &counts(1, 1), &[16]).is_none(), "a difference of 16 bits");
        assert!(Huffman::new(Class::Ac, &[255; 16], &[0; 4080]).is_none());
    }

    #[test]
    fn values_equal_those_of_the_standard() {
        let first = |bits: u64, size: u8| value(bits << (64 - size), size);
        assert_eq!(value(u64::MAX, 0), 0);
        assert_eq!([first(0, 1), first(1, 1)], [-1, 1]);
        assert_eq!([first(0, 3), first(3, 3), first(4, 3), first(7, 3)], [-7, -4, 4, 7]);
        assert_eq!([first(0, 15), first(32767, 15)], [-32767, 32767]);
    }
}
