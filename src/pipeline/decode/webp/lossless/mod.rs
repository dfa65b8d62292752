//! VP8L (RFC 9649, section 3): how many prefix codes a stream has, read before libwebp makes tables for them.
//!
//! A picture has groups of five prefix codes, and an image of its own that says which block uses which
//! group. 65,536 groups take a third of a gigabyte in libwebp and 160 KB in the file. Everything before
//! the pixels is read here: transforms, that image, and the codes' lengths. No table is made.

mod bits; // bits, prefix codes
mod image; // images inside the stream

use super::super::{DecodeError, Watch};
use super::FORMAT;
use bits::{Bits, Code};
use image::Inner;

/// The most groups that are decoded. libwebp's encoder makes at most 2,600.
const MOST_GROUPS: usize = 4096;

/// What libwebp holds for a group: five tables, the longest with a cache of 2,048 colours.
const GROUP_BYTES: u64 = 21 << 10;

/// Symbols that are read for an estimate: less than two milliseconds' work.
const ESTIMATE_SYMBOLS: usize = 1 << 16;

/// What libwebp's tables will take at most, in bytes, for the stream of a picture or of its opacity.
pub(super) fn most_tables(stream: &[u8], size: [u32; 2]) -> u64 {
    let stream = if is_picture(stream) { stream.get(5..) } else { alpha_stream(stream) };
    let Some(stream) = stream else { return 0 };
    let mut head = Head::new(stream, Watch::never(), ESTIMATE_SYMBOLS);
    // A stream that is damaged is not decoded; one that takes long to read may have them all.
    let groups = match head.read(size) {
        Ok(groups) => groups,
        Err(BadStream::TooLong) => MOST_GROUPS,
        Err(BadStream::Damaged | BadStream::Cut | BadStream::TooMany | BadStream::Stopped(_)) => 0,
    };
    groups as u64 * GROUP_BYTES
}

/// Whether a picture's stream may be decoded, and at which byte of it the pixels begin.
///
/// # Errors
///
/// [`DecodeError`] where it is damaged or has too many codes, and once `watch` stops it.
pub(super) fn check(stream: &[u8], size: [u32; 2], watch: Watch<'_>) -> Result<usize, DecodeError> {
    let stream = stream.get(5..).ok_or(DecodeError::Truncated { format: FORMAT })?;
    let mut head = Head::new(stream, watch, usize::MAX);
    head.read(size).map_err(BadStream::into_error)?;
    Ok(head.bits.bytes_read() + 5)
}

/// The same for the opacity beside a lossy picture.
///
/// # Errors
///
/// As [`check`].
pub(super) fn check_alpha(
    chunk: &[u8],
    size: [u32; 2],
    watch: Watch<'_>,
) -> Result<(), DecodeError> {
    let Some(stream) = alpha_stream(chunk) else { return Ok(()) };
    Head::new(stream, watch, usize::MAX).read(size).map_err(BadStream::into_error)?;
    Ok(())
}

/// What the `ALPH` chunk has in VP8L's coding, if it has.
fn alpha_stream(chunk: &[u8]) -> Option<&[u8]> {
    let (&flags, stream) = chunk.split_first()?;
    (flags & 0x03 == 1).then_some(stream)
}

/// A picture's stream begins with a signature, which is no chunk of opacity's first byte.
fn is_picture(stream: &[u8]) -> bool {
    stream.first() == Some(&0x2F)
}

/// Why a stream is not decoded.
#[derive(Debug)]
enum BadStream {
    Damaged,
    /// It ends before its pixels.
    Cut,
    /// It has more groups of codes than are decoded.
    TooMany,
    /// Reading it takes more symbols than were allowed.
    TooLong,
    Stopped(DecodeError),
}

impl BadStream {
    fn into_error(self) -> DecodeError {
        match self {
            Self::Damaged => DecodeError::corrupt(FORMAT, "its prefix codes are damaged"),
            Self::Cut => DecodeError::corrupt(FORMAT, "its stream ends before its pixels"),
            Self::TooMany | Self::TooLong => DecodeError::Unsupported {
                format: "a WebP with more than 4,096 groups of prefix codes",
            },
            Self::Stopped(error) => error,
        }
    }
}

/// What stands before a stream's pixels, being read.
struct Head<'a> {
    bits: Bits<'a>,
    watch: Watch<'a>,
    symbols_left: usize,
}

impl<'a> Head<'a> {
    fn new(stream: &'a [u8], watch: Watch<'a>, symbols: usize) -> Self {
        Self { bits: Bits::new(stream), watch, symbols_left: symbols }
    }

    /// Reads all of it, and counts the groups.
    fn read(&mut self, [mut width, height]: [u32; 2]) -> Result<usize, BadStream> {
        let mut seen = [false; 4];
        while self.bits.take(1)? == 1 {
            let kind = self.bits.take(2)?;
            if std::mem::replace(&mut seen[kind as usize], true) {
                return Err(BadStream::Damaged);
            }
            match kind {
                // The predictors and the changes of colours, for each block.
                0 | 1 => {
                    let block = self.bits.take(3)? + 2;
                    self.inner([blocks(width, block), blocks(height, block)])?.read()?;
                }
                // Green subtracted: nothing to read.
                2 => {}
                // A palette; several small numbers share a pixel.
                _ => {
                    let colors = self.bits.take(8)? + 1;
                    self.inner([colors, 1])?.read()?;
                    let together = match colors {
                        0..=2 => 3,
                        3..=4 => 2,
                        5..=16 => 1,
                        _ => 0,
                    };
                    width = blocks(width, together);
                }
            }
        }
        let cache = self.cache_bits()?;
        let groups = if self.bits.take(1)? == 1 {
            let block = self.bits.take(3)? + 2;
            self.inner([blocks(width, block), blocks(height, block)])?.most_group()? + 1
        } else {
            1
        };
        if groups > MOST_GROUPS {
            return Err(BadStream::TooMany);
        }
        for _ in 0..groups {
            self.skip_codes(cache)?;
        }
        Ok(groups)
    }

    /// An image inside the stream, whose codes come next.
    fn inner(&mut self, size: [u32; 2]) -> Result<Inner<'_, 'a>, BadStream> {
        let cache = self.cache_bits()?;
        let codes = self.codes(cache)?;
        Ok(Inner { head: self, size, cache, codes })
    }

    /// How many bits number the colours of a cache; 0 where there is none.
    fn cache_bits(&mut self) -> Result<u32, BadStream> {
        if self.bits.take(1)? == 0 {
            return Ok(0);
        }
        let bits = self.bits.take(4)?;
        if (1..=11).contains(&bits) { Ok(bits) } else { Err(BadStream::Damaged) }
    }

    /// Five codes: green, lengths and cache; red; blue; opacity; distances.
    fn codes(&mut self, cache: u32) -> Result<[Code; 5], BadStream> {
        let [green, rest @ ..] = alphabets(cache);
        let mut code = |symbols| Code::read(&mut self.bits, symbols);
        let [red, blue, alpha, distance] = rest;
        Ok([code(green)?, code(red)?, code(blue)?, code(alpha)?, code(distance)?])
    }

    fn skip_codes(&mut self, cache: u32) -> Result<(), BadStream> {
        self.watch.check().map_err(BadStream::Stopped)?;
        self.codes(cache).map(drop)
    }

    /// Counts the symbols, and asks the watch now and then.
    fn worked(&mut self, symbols: usize) -> Result<(), BadStream> {
        self.symbols_left = self.symbols_left.checked_sub(symbols).ok_or(BadStream::TooLong)?;
        if self.symbols_left.is_multiple_of(1 << 16) {
            self.watch.check().map_err(BadStream::Stopped)?;
        }
        Ok(())
    }
}

/// How many symbols each of five codes has.
fn alphabets(cache: u32) -> [usize; 5] {
    let cached = if cache == 0 { 0 } else { 1 << cache };
    [256 + 24 + cached, 256, 256, 256, 40]
}

/// How many blocks of `2^bits` pixels a side has.
fn blocks(side: u32, bits: u32) -> u32 {
    side.div_ceil(1 << bits)
}
