//! Decodes the part of a block's coefficients that a scan contains (ITU-T T.81, F.2.2 and G.2).

use std::rc::Rc;

use super::super::DecodeError;
use super::bits::Bits;
use super::coefficients::CoefficientBlock;
use super::damaged;
use super::huffman::{self, END_OF_BLOCK, Huffman, Symbol};

/// What a scan contains of a component's blocks, with the tables to decode it.
#[derive(Debug)]
pub(super) enum Pass {
    /// All coefficients.
    All { dc: Rc<Huffman>, ac: Rc<Huffman> },
    /// The DC coefficient without its `low` lowest bits.
    FirstDc { dc: Rc<Huffman>, low: u8 },
    /// Bit `low` of the DC coefficient.
    RefineDc { low: u8 },
    /// AC coefficients without their lowest bits.
    FirstAc { ac: Rc<Huffman>, band: Band },
    /// The next bit of AC coefficients.
    RefineAc { ac: Rc<Huffman>, band: Band },
}

/// A range of AC coefficients in zigzag order, and the lowest bit that the scan contains.
#[derive(Debug, Clone, Copy)]
pub(super) struct Band {
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) low: u8,
}

/// The state between the blocks of a scan.
#[derive(Debug, Default)]
pub(super) struct ScanState {
    /// By component: the DC coefficient of its last block.
    pub(super) last_dc: [i16; 4],
    /// Number of further blocks in which the band has no new coefficients.
    pub(super) ended_blocks: u32,
}

impl Pass {
    /// Decodes the next block, which belongs to this `component`.
    #[inline]
    pub(super) fn decode(
        &self,
        component: usize,
        bits: &mut Bits,
        state: &mut ScanState,
        block: &mut CoefficientBlock,
    ) -> Result<(), DecodeError> {
        match self {
            Self::All { dc, ac } => {
                block.values[0] = next_dc(bits, dc, &mut state.last_dc[component])?;
                all_ac(bits, ac, block)
            }
            Self::FirstDc { dc, low } => {
                block.values[0] = next_dc(bits, dc, &mut state.last_dc[component])? << low;
                Ok(())
            }
            Self::RefineDc { low } => {
                block.values[0] |= next_bit(bits) << low;
                Ok(())
            }
            Self::FirstAc { ac, band } => first_ac(bits, ac, *band, &mut state.ended_blocks, block),
            Self::RefineAc { ac, band } => {
                refine_ac(bits, ac, *band, &mut state.ended_blocks, block)
            }
        }
    }
}

/// A symbol and its bits: the value, or the number of further blocks that end.
#[inline]
fn next(bits: &mut Bits, table: &Huffman) -> Result<(Symbol, u64), DecodeError> {
    let ahead = bits.peek();
    let symbol = table.read(ahead);
    if symbol.code == 0 {
        return Err(damaged("its data has a code that its tables have not"));
    }
    bits.skip(symbol.both.into());
    Ok((symbol, ahead << symbol.code))
}

#[inline]
fn next_bit(bits: &mut Bits) -> i16 {
    let bit = bits.peek() >> 63;
    bits.skip(1);
    i16::from(bit != 0)
}

/// The value at the top of `bits`. As in libjpeg, larger ones than 16 bits wrap around.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most 15 bits and a sign")]
fn value(bits: u64, size: u8) -> i16 {
    huffman::value(bits, size) as i16
}

#[inline]
fn next_dc(bits: &mut Bits, table: &Huffman, last: &mut i16) -> Result<i16, DecodeError> {
    let (symbol, rest) = next(bits, table)?;
    *last = last.wrapping_add(value(rest, symbol.size));
    Ok(*last)
}

#[inline]
fn all_ac(
    bits: &mut Bits,
    table: &Huffman,
    block: &mut CoefficientBlock,
) -> Result<(), DecodeError> {
    let mut k = 0;
    while k < 63 {
        let (symbol, rest) = next(bits, table)?;
        if symbol.advance == END_OF_BLOCK {
            break;
        }
        k += usize::from(symbol.advance);
        if symbol.size > 0 {
            block.set(k, value(rest, symbol.size));
        }
    }
    Ok(())
}

#[inline]
fn first_ac(
    bits: &mut Bits,
    table: &Huffman,
    band: Band,
    ended_blocks: &mut u32,
    block: &mut CoefficientBlock,
) -> Result<(), DecodeError> {
    if *ended_blocks > 0 {
        *ended_blocks -= 1;
        return Ok(());
    }
    let mut k = band.first - 1;
    while k < band.last {
        let (symbol, rest) = next(bits, table)?;
        if symbol.advance == END_OF_BLOCK {
            *ended_blocks = blocks_to_end(symbol, rest) - 1;
            break;
        }
        k += usize::from(symbol.advance);
        if symbol.size > 0 {
            block.set(k, value(rest, symbol.size) << band.low);
        }
    }
    Ok(())
}

/// The number of blocks that end with this symbol, this one included (T.81, G.1.2.2).
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most 14 bits are left")]
fn blocks_to_end(symbol: Symbol, bits: u64) -> u32 {
    let further = (bits >> 1) >> (63 - symbol.size);
    (1 << symbol.size) + further as u32
}

#[inline]
fn refine_ac(
    bits: &mut Bits,
    table: &Huffman,
    band: Band,
    ended_blocks: &mut u32,
    block: &mut CoefficientBlock,
) -> Result<(), DecodeError> {
    let mut k = band.first;
    while *ended_blocks == 0 && k <= band.last {
        let (symbol, rest) = next_of_refinement(bits, table)?;
        if symbol.advance == END_OF_BLOCK {
            *ended_blocks = blocks_to_end(symbol, rest);
            break;
        }
        let new = match symbol.size {
            0 => 0,
            _ if rest >> 63 == 1 => 1 << band.low,
            _ => -1 << band.low,
        };
        k = refine_until(bits, band, k, usize::from(symbol.advance), block);
        if new != 0 {
            block.set(k, new);
        }
        k += 1;
    }
    if *ended_blocks > 0 {
        let end = band.last.min(block.last.into());
        refine_until(bits, Band { last: end, ..band }, k, usize::MAX, block);
        *ended_blocks -= 1;
    }
    Ok(())
}

/// As [`next`], but a new coefficient has one bit, its sign, whatever size its symbol says (jdphuff.c).
#[inline]
fn next_of_refinement(bits: &mut Bits, table: &Huffman) -> Result<(Symbol, u64), DecodeError> {
    let ahead = bits.peek();
    let mut symbol = table.read(ahead);
    if symbol.code == 0 {
        return Err(damaged("its data has a code that its tables have not"));
    }
    if symbol.advance != END_OF_BLOCK {
        symbol.size = symbol.size.min(1);
        symbol.both = symbol.code + symbol.size;
    }
    bits.skip(symbol.both.into());
    Ok((symbol, ahead << symbol.code))
}

/// Reads the next bit of each coefficient from `k` on that is not 0, up to the `zeros`-th one that is 0, and
/// returns its index, or the one after the band.
#[inline]
fn refine_until(
    bits: &mut Bits,
    band: Band,
    mut k: usize,
    mut zeros: usize,
    block: &mut CoefficientBlock,
) -> usize {
    while let Some(value) = block.values.get_mut(k).filter(|_| k <= band.last) {
        if *value == 0 {
            zeros -= 1;
            if zeros == 0 {
                break;
            }
        } else if next_bit(bits) == 1 && *value & 1 << band.low == 0 {
            *value = value.wrapping_add(value.signum() << band.low);
        }
        k += 1;
    }
    k
}
