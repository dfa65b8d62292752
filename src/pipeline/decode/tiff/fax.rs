//! CCITT T.4 and T.6: black and white rows, coded as runs or as differences from the row above.

use std::borrow::Cow;

use ::fax::maps::{Mode, black, mode, white};
use ::fax::{BitReader, Bits};

use super::super::DecodeError;
use super::FORMAT;
use super::layout::{Fax, Group3Rows};

/// The rows of a strip or tile.
pub(super) struct FaxRows<'a> {
    kind: Fax,
    bits: Reader<'a>,
    width: u32,
    /// The columns at which the colour changes in the row above, which begins with white.
    above: Vec<u32>,
    ended: bool,
}

impl<'a> FaxRows<'a> {
    pub(super) fn new(kind: Fax, data: Cow<'a, [u8]>, width: u32) -> Self {
        Self { kind, bits: Reader { data, at: 0 }, width, above: Vec::new(), ended: false }
    }

    /// Decodes the next row, with one bit per pixel: 1 is black. After an end-of-block code, rows are white.
    pub(super) fn next(&mut self, row: &mut [u8]) -> Result<(), DecodeError> {
        row.fill(0);
        if self.ended {
            return Ok(());
        }
        let Some(changes) = self.changes() else {
            return Err(if self.bits.is_at_end() {
                DecodeError::Truncated { format: FORMAT }
            } else {
                DecodeError::corrupt(FORMAT, "a row of its fax is damaged")
            });
        };
        for pair in changes.chunks(2) {
            let end = pair.get(1).copied().unwrap_or(self.width);
            (pair[0]..end).for_each(|x| row[x as usize / 8] |= 0x80 >> (x % 8));
        }
        self.above = changes;
        Ok(())
    }

    /// The columns at which the colour changes in the next row; empty after the end-of-block code.
    fn changes(&mut self) -> Option<Vec<u32>> {
        match self.kind {
            Fax::Runs => {
                let changes = self.runs()?;
                self.bits.align();
                Some(changes)
            }
            Fax::Group4 => self.differences(),
            Fax::Group3(rows) => {
                let ends = self.skip_ends(rows)?;
                if ends >= 2 {
                    self.ended = true;
                    return Some(Vec::new());
                }
                if rows == Group3Rows::Tagged && ends == 1 && self.bits.bit()? == 0 {
                    return self.differences();
                }
                self.runs()
            }
        }
    }

    /// Skips end-of-line codes and the zeros before them; returns their number. Two or more end the page.
    fn skip_ends(&mut self, rows: Group3Rows) -> Option<u32> {
        let mut ends = 0;
        while self.bits.peek(11) == Some(0) {
            while self.bits.peek(1)? == 0 {
                self.bits.consume(1).ok()?;
            }
            self.bits.consume(1).ok()?;
            ends += 1;
            // A tag bit follows each code; the caller reads the last one.
            let is_tagged = rows == Group3Rows::Tagged;
            if is_tagged && self.bits.peek(12) == Some(0b1000_0000_0000) {
                self.bits.consume(1).ok()?;
            }
        }
        Some(ends)
    }

    /// Decodes a row of runs, which begins with white.
    fn runs(&mut self) -> Option<Vec<u32>> {
        let mut changes = Vec::new();
        let (mut at, mut color) = (0, FaxColor::White);
        while at < self.width {
            at += self.run(color)?;
            if at > self.width {
                return None;
            }
            changes.push(at);
            color = color.other();
        }
        Some(changes)
    }

    /// Decodes a row of differences from the one above.
    fn differences(&mut self) -> Option<Vec<u32>> {
        let mut changes: Vec<u32> = Vec::new();
        let (mut at, mut color) = (0, FaxColor::White);
        let mut from = 0;
        // Only the first code may refer to a change at column 0: a row may begin with runs of no pixels.
        let mut is_start = true;
        while at < self.width {
            // Find the first change to the other colour in the row above, to the right of the current column.
            while from > 0 && self.above.get(from - 1).is_some_and(|&change| change > at) {
                from -= 1;
            }
            while self.above.get(from).is_some_and(|&change| {
                (change <= at && !(is_start && change == 0))
                    || (from % 2 == 1) != (color == FaxColor::Black)
            }) {
                from += 1;
            }
            is_start = false;
            let above = |index: usize| self.above.get(index).copied().unwrap_or(self.width);
            match mode::decode(&mut self.bits)? {
                Mode::Pass => at = above(from + 1),
                Mode::Vertical(shift) => {
                    let to = above(from).checked_add_signed(shift.into())?;
                    if to < at || to > self.width {
                        return None;
                    }
                    changes.push(to);
                    at = to;
                    color = color.other();
                }
                Mode::Horizontal => {
                    for run in [color, color.other()] {
                        at = (at + self.run(run)?).min(self.width);
                        changes.push(at);
                    }
                }
                Mode::EOF if changes.is_empty() && at == 0 => {
                    self.ended = true;
                    return Some(changes);
                }
                Mode::Extension | Mode::EOF => return None,
            }
        }
        Some(changes)
    }

    /// Decodes the length of a run: codes for multiples of 64, and one for the rest.
    fn run(&mut self, color: FaxColor) -> Option<u32> {
        let mut length: u32 = 0;
        loop {
            let part = match color {
                FaxColor::White => white::decode(&mut self.bits),
                FaxColor::Black => black::decode(&mut self.bits),
            };
            let part = u32::from(part?);
            length += part;
            if part < 64 {
                return Some(length);
            }
            if length > self.width {
                return None;
            }
        }
    }
}

/// The colour of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FaxColor {
    White,
    Black,
}

impl FaxColor {
    fn other(self) -> Self {
        match self {
            Self::White => Self::Black,
            Self::Black => Self::White,
        }
    }
}

/// Reads bits, highest first. Zeros follow the data, but cannot be consumed.
struct Reader<'a> {
    data: Cow<'a, [u8]>,
    /// Position in bits.
    at: usize,
}

impl Reader<'_> {
    fn is_at_end(&self) -> bool {
        self.at + 8 > self.data.len() * 8
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    fn bit(&mut self) -> Option<u16> {
        let bit = self.peek(1)?;
        self.consume(1).ok()?;
        Some(bit)
    }
}

impl BitReader for Reader<'_> {
    type Error = ();

    fn peek(&self, bits: u8) -> Option<u16> {
        let first = self.at / 8;
        let byte = |index: usize| u32::from(self.data.get(first + index).copied().unwrap_or(0));
        let window = byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
        let shifted = window << (self.at % 8);
        u16::try_from(u64::from(shifted) >> (32 - bits)).ok()
    }

    fn consume(&mut self, bits: u8) -> Result<(), ()> {
        let end = self.at + usize::from(bits);
        if end > self.data.len() * 8 {
            self.at = self.data.len() * 8;
            return Err(());
        }
        self.at = end;
        Ok(())
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        u8::try_from(self.at.next_multiple_of(8) - self.at).unwrap_or(0)
    }

    fn expect(&mut self, bits: Bits) -> Result<(), Option<Bits>> {
        match self.peek(bits.len) {
            Some(data) if data == bits.data => Ok(()),
            data => Err(data.map(|data| Bits { data, len: bits.len })),
        }
    }
}
