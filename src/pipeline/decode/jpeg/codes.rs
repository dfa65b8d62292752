//! Writes Huffman codes of blocks, with tables in which all codes have the same length.

use super::coefficients::CoefficientBlock;

/// The two tables, as the body of a segment. DC: the sizes 0 to 15, with 5 bits each. AC: all 242 symbols, with 8
/// bits each.
pub(super) fn tables() -> Vec<u8> {
    let mut body = vec![0x00];
    body.extend(counts(DC_BITS, DC_SYMBOLS));
    body.extend(0..DC_SYMBOLS);
    body.push(0x10);
    body.extend(counts(AC_BITS, AC_SYMBOLS));
    body.extend((0..=u8::MAX).filter(|symbol| is_ac_symbol(*symbol)));
    body
}

const DC_BITS: u8 = 5;
const DC_SYMBOLS: u8 = 16;
const AC_BITS: u8 = 8;
const AC_SYMBOLS: u8 = 242;

/// The number of codes of each length, if there are `symbols` codes of `bits` bits.
fn counts(bits: u8, symbols: u8) -> impl Iterator<Item = u8> {
    (1..=16).map(move |length| if length == bits { symbols } else { 0 })
}

/// Whether a byte is a symbol: a run of zeros and the size of the value after it, the end of a block, or 16 zeros.
const fn is_ac_symbol(symbol: u8) -> bool {
    symbol & 15 > 0 || symbol == END || symbol == SIXTEEN_ZEROS
}

const END: u8 = 0x00;
const SIXTEEN_ZEROS: u8 = 0xF0;

/// The code of each symbol: the number of symbols before it.
const AC_CODES: [u8; 256] = {
    let (mut codes, mut symbol, mut code) = ([0; 256], 0_u8, 0);
    loop {
        codes[symbol as usize] = code;
        if is_ac_symbol(symbol) {
            code += 1;
        }
        let Some(next) = symbol.checked_add(1) else { break codes };
        symbol = next;
    }
};

/// The data of a scan.
#[derive(Debug, Default)]
pub(super) struct Codes {
    pub(super) bytes: Vec<u8>,
    /// Bits that are not yet in `bytes`, in the lowest places.
    bits: u64,
    count: u32,
}

impl Codes {
    /// Continues in an empty buffer whose memory is reused.
    pub(super) fn in_buffer(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self { bytes, bits: 0, count: 0 }
    }

    /// Writes a block; `last_dc` is the DC coefficient of the component's previous block.
    #[inline]
    pub(super) fn add_block(&mut self, block: &CoefficientBlock, last_dc: &mut i16) {
        let dc = block.values[0];
        let (size, bits) = sized(dc.wrapping_sub(*last_dc));
        *last_dc = dc;
        self.add((u64::from(size) << size) | bits, u32::from(DC_BITS + size));
        let (mut run, last) = (0, usize::from(block.last));
        for &value in &block.values[1..=last.max(1)] {
            if value == 0 {
                run += 1;
                continue;
            }
            while run > 15 {
                self.add(AC_CODES[usize::from(SIXTEEN_ZEROS)].into(), AC_BITS.into());
                run -= 16;
            }
            let (size, bits) = sized(value);
            let code = AC_CODES[usize::from(run << 4 | size)];
            self.add((u64::from(code) << size) | bits, u32::from(AC_BITS + size));
            run = 0;
        }
        if run > 0 || last < 63 {
            self.add(AC_CODES[usize::from(END)].into(), AC_BITS.into());
        }
    }

    /// Writes a block whose coefficients are 0, after another one.
    pub(super) fn add_empty_block(&mut self) {
        self.add(0, DC_BITS.into());
        self.add(AC_CODES[usize::from(END)].into(), AC_BITS.into());
    }

    /// Fills the last byte with ones.
    pub(super) fn align(&mut self) {
        let missing = (8 - self.count % 8) % 8;
        self.add((1 << missing) - 1, missing);
        while self.count > 0 {
            self.flush_byte();
        }
    }

    /// Adds the `count` lowest bits, at most 24.
    #[inline]
    fn add(&mut self, bits: u64, count: u32) {
        self.bits = self.bits << count | bits;
        self.count += count;
        while self.count >= 8 {
            self.flush_byte();
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the higher bits were written before")]
    fn flush_byte(&mut self) {
        self.count -= 8;
        let byte = (self.bits >> self.count) as u8;
        self.bytes.push(byte);
        if byte == 0xFF {
            self.bytes.push(0);
        }
    }
}

/// The number of bits of a value, and these bits (table F.1). Codes have at most 15 bits, so the lowest value, which
/// only damaged files contain, becomes the one above it.
#[inline]
fn sized(value: i16) -> (u8, u64) {
    let magnitude = value.unsigned_abs().min(i16::MAX.unsigned_abs());
    #[expect(clippy::cast_possible_truncation, reason = "at most 16")]
    let size = (u16::BITS - magnitude.leading_zeros()) as u8;
    let bits = if value < 0 { !magnitude } else { magnitude };
    (size, u64::from(bits) & ((1 << size) - 1))
}
