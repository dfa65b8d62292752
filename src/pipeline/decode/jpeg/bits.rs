//! Reads bits from the data of a scan. Stuffed zeros are removed, and a marker ends the data.

use super::super::DecodeError;
use super::damaged;

/// A reader of bits from the data of a scan.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, highest first. The lower bits after the `held` ones may also be valid bits of the file.
    buffer: u64,
    held: u32,
    /// How many of the `held` bits are zeros after the end of the file.
    missing: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, buffer: 0, held: 0, missing: 0 }
    }

    /// The next bits, of which at least [`Bits::ENOUGH`] are valid.
    #[inline]
    pub(super) fn peek(&mut self) -> u64 {
        if self.held < Self::ENOUGH {
            self.refill();
        }
        self.buffer
    }

    /// Bits of the longest symbol (16) and the longest value (15).
    const ENOUGH: u32 = 31;

    /// Skips `count` bits, at most [`Bits::ENOUGH`].
    #[inline]
    pub(super) fn skip(&mut self, count: u32) {
        self.buffer <<= count;
        self.held = self.held.wrapping_sub(count);
    }

    #[inline]
    fn refill(&mut self) {
        let ahead = self.data.get(self.at..).and_then(|rest| rest.first_chunk());
        match ahead.map(|bytes| u64::from_be_bytes(*bytes)) {
            Some(word) if !has_a_byte_of_ones(word) => {
                self.buffer |= word >> self.held;
                let bytes = (63 - self.held) / 8;
                self.at += bytes as usize;
                self.held += 8 * bytes;
            }
            Some(_) | None => self.refill_slowly(),
        }
    }

    /// Refills byte by byte, near a marker or the end.
    #[cold]
    fn refill_slowly(&mut self) {
        while self.held <= 56 {
            let byte = match self.data.get(self.at..) {
                Some([0xFF, 0x00, ..]) => {
                    self.at += 2;
                    0xFF
                }
                // As in libjpeg, a byte FF can be repeated before its stuffed zero.
                Some([0xFF, 0xFF, ..]) => {
                    self.at += 1;
                    continue;
                }
                Some([0xFF, ..] | []) | None => {
                    self.missing += 8;
                    0
                }
                Some(&[byte, ..]) => {
                    self.at += 1;
                    byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.held);
            self.held += 8;
        }
    }

    /// # Errors
    ///
    /// If bits after the end of the file were read.
    #[inline]
    pub(super) fn check(&self) -> Result<(), DecodeError> {
        if self.held < self.missing {
            return Err(damaged("its data ends before its pixels do"));
        }
        Ok(())
    }

    /// Goes to the data after the restart marker of this `number`, 0 to 7.
    ///
    /// # Errors
    ///
    /// If there is another marker, or none.
    pub(super) fn restart(&mut self, number: u8) -> Result<(), DecodeError> {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let marker =
            rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF));
        match marker.map(|marker| (marker, rest[marker + 1])) {
            Some((marker, found)) if found == 0xD0 + number => {
                *self = Self { at: self.at + marker + 2, ..Self::new(self.data) };
                Ok(())
            }
            Some(_) | None => Err(damaged("a restart marker is not where it should be")),
        }
    }
}

/// Whether one of the eight bytes is FF: a marker, or a data byte followed by a stuffed zero.
#[inline]
fn has_a_byte_of_ones(word: u64) -> bool {
    let zero_where_ones = !word;
    zero_where_ones.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 != 0
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "a few hundred bytes")]
mod tests {
    use super::*;

    fn take(bits: &mut Bits, count: u32) -> u64 {
        let taken = bits.peek() >> (64 - count);
        bits.skip(count);
        taken
    }

    #[test]
    fn bits_are_read_in_order_over_stuffed_zeros_and_with_any_step() {
        let bytes: Vec<u8> =
            (0..200_u32).map(|i| if i % 9 == 0 { 0xFF } else { (i * 37) as u8 }).collect();
        let stuffed: Vec<u8> = bytes
            .iter()
            .flat_map(|&byte| if byte == 0xFF { vec![0xFF, 0] } else { vec![byte] })
            .collect();
        for step in 1..=31 {
            let mut bits = Bits::new(&stuffed);
            for first in (0..bytes.len() as u32 * 8 - 31).step_by(step as usize) {
                let expected = (first..first + step).fold(0, |value, bit| {
                    value << 1 | u64::from(bytes[bit as usize / 8] >> (7 - bit % 8) & 1)
                });
                assert_eq!(take(&mut bits, step), expected, "bit {first}, {step} at a time");
            }
            bits.check().unwrap();
        }
    }

    #[test]
    fn repeated_bytes_of_ones_before_a_zero_are_one() {
        let mut bits = Bits::new(&[0xAB, 0xFF, 0xFF, 0xFF, 0x00, 0xCD, 0xFF, 0xFF, 0xD9]);
        assert_eq!(take(&mut bits, 24), 0xAB_FFCD);
        bits.check().unwrap();
        assert_eq!(take(&mut bits, 1), 0);
        bits.check().unwrap_err();
    }

    #[test]
    fn reading_past_the_end_is_detected_and_only_the_right_marker_restarts() {
        let mut bits = Bits::new(&[0xAB, 0xFF, 0xD3, 0xCD, 0xFF, 0xD9]);
        assert_eq!(take(&mut bits, 8), 0xAB);
        bits.check().unwrap();
        assert_eq!(take(&mut bits, 1), 0);
        bits.check().unwrap_err();
        bits.restart(2).unwrap_err();
        bits.restart(3).unwrap();
        assert_eq!(take(&mut bits, 8), 0xCD);
        bits.check().unwrap();
        bits.restart(4).unwrap_err();
    }
}
