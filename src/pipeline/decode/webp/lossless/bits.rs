//! Reads bits of a stream, lowest first, and prefix codes.

use super::BadStream;

pub(super) struct LsbFirstBits<'a> {
    bytes: &'a [u8],
    /// Position in bits.
    at: usize,
}

impl<'a> LsbFirstBits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Reads a number of `count` bits, at most 24.
    pub(super) fn take(&mut self, count: u32) -> Result<u32, BadStream> {
        let first = self.at / 8;
        let mut window = [0; 4];
        let there = self.bytes.get(first..).unwrap_or_default();
        let length = there.len().min(4);
        window[..length].copy_from_slice(&there[..length]);
        let inside = self.at % 8;
        self.at += count as usize;
        if self.at > self.bytes.len() * 8 {
            return Err(BadStream::Cut);
        }
        Ok(u32::from_le_bytes(window) >> inside & ((1 << count) - 1))
    }

    /// Number of bytes that were read, including a partly read one.
    pub(super) fn bytes_read(&self) -> usize {
        self.at.div_ceil(8)
    }
}

/// The longest code word, in bits.
const LONGEST: usize = 15;

/// A canonical prefix code: the number of words of each length, and their symbols in order.
pub(super) struct Code {
    /// Number of words by length; index 0 is unused.
    words: [u16; LONGEST + 1],
    symbols: Vec<u16>,
}

impl Code {
    /// Reads the code of an alphabet of `symbols` symbols.
    pub(super) fn read(bits: &mut LsbFirstBits<'_>, symbols: usize) -> Result<Self, BadStream> {
        let mut lengths = vec![0_u8; symbols];
        if bits.take(1)? == 1 {
            let two = bits.take(1)? == 1;
            let first_bits = if bits.take(1)? == 1 { 8 } else { 1 };
            let first = bits.take(first_bits)? as usize;
            *lengths.get_mut(first).ok_or(BadStream::Damaged)? = 1;
            if two {
                let second = bits.take(8)? as usize;
                *lengths.get_mut(second).ok_or(BadStream::Damaged)? = 1;
            }
        } else {
            Self::read_lengths(bits, &mut lengths)?;
        }
        Self::of(&lengths)
    }

    /// Reads the lengths, which are prefix-coded themselves.
    fn read_lengths(bits: &mut LsbFirstBits<'_>, lengths: &mut [u8]) -> Result<(), BadStream> {
        const ORDER: [usize; 19] =
            [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let mut of_lengths = [0; 19];
        let count = bits.take(4)? as usize + 4;
        for &symbol in &ORDER[..count] {
            of_lengths[symbol] = u8::try_from(bits.take(3)?).unwrap_or_default();
        }
        let code = Self::of(&of_lengths)?;
        let mut left = lengths.len();
        if bits.take(1)? == 1 {
            let size = 2 + 2 * bits.take(3)?;
            left = 2 + bits.take(size)? as usize;
            if left > lengths.len() {
                return Err(BadStream::Damaged);
            }
        }
        let (mut at, mut previous) = (0, 8);
        while at < lengths.len() && left > 0 {
            left -= 1;
            let (length, times) = match code.next(bits)? {
                16 => (previous, 3 + bits.take(2)?),
                17 => (0, 3 + bits.take(3)?),
                18 => (0, 11 + bits.take(7)?),
                literal => (u8::try_from(literal).unwrap_or_default(), 1),
            };
            if length != 0 {
                previous = length;
            }
            let run = lengths.get_mut(at..at + times as usize).ok_or(BadStream::Damaged)?;
            run.fill(length);
            at += times as usize;
        }
        Ok(())
    }

    /// The canonical code with these lengths. A code with only one symbol is valid.
    fn of(lengths: &[u8]) -> Result<Self, BadStream> {
        let mut words = [0_u16; LONGEST + 1];
        for &length in lengths {
            words[usize::from(length)] += 1;
        }
        words[0] = 0;
        let mut symbols = Vec::with_capacity(usize::from(words.iter().sum::<u16>()));
        for length in (1..=LONGEST).filter(|&length| words[length] > 0) {
            symbols.extend(
                (0_u16..)
                    .zip(lengths)
                    .filter_map(|(symbol, &its)| (usize::from(its) == length).then_some(symbol)),
            );
        }
        let open = words
            .iter()
            .skip(1)
            .try_fold(1_u32, |open, &count| (open * 2).checked_sub(count.into()));
        match (symbols.len(), open) {
            (1, _) | (_, Some(0)) => Ok(Self { words, symbols }),
            _ => Err(BadStream::Damaged),
        }
    }

    /// The next symbol. If a code has only one, it takes no bits.
    pub(super) fn next(&self, bits: &mut LsbFirstBits<'_>) -> Result<u16, BadStream> {
        if let &[only] = &self.symbols[..] {
            return Ok(only);
        }
        let (mut word, mut first, mut before) = (0, 0, 0);
        for &count in &self.words[1..] {
            word = word << 1 | bits.take(1)?;
            let count = u32::from(count);
            if word < first + count {
                let index = before + (word - first);
                return self.symbols.get(index as usize).copied().ok_or(BadStream::Damaged);
            }
            before += count;
            first = (first + count) << 1;
        }
        Err(BadStream::Damaged)
    }
}
