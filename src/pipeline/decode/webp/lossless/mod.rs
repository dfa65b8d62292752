//! VP8L (RFC 9649, section 3): counts the prefix codes of a stream before libwebp builds tables for them.
//!
//! An image has groups of five prefix codes, and an inner image with the group of each block. 65,536 groups
//! take a third of a gigabyte in libwebp, but only 160 KB in the file. This module reads everything before
//! the pixels (transforms, the inner image, and the lengths of the codes) without building tables.

mod bits; // bits, prefix codes
mod image; // images inside the stream

use super::super::{DecodeError, Watch};
use super::FORMAT;
use bits::{Code, LsbFirstBits};
use image::Inner;

/// Maximum number of groups. libwebp's encoder writes at most 2,600.
const MAX_GROUPS: usize = 4096;

/// Memory of libwebp for a group: five tables, the largest with a cache of 2,048 colours.
const GROUP_BYTES: u64 = 21 << 10;

/// Maximum number of symbols that are read for an estimate: less than two milliseconds of work.
const ESTIMATE_SYMBOLS: usize = 1 << 16;

/// Maximum size of libwebp's tables, in bytes, for the stream of an image or of its alpha channel.
pub(super) fn most_tables(stream: &[u8], size: [u32; 2]) -> u64 {
    let stream = if is_image(stream) { stream.get(5..) } else { alpha_stream(stream) };
    let Some(stream) = stream else { return 0 };
    let mut head = StreamHead::new(stream, Watch::never(), ESTIMATE_SYMBOLS);
    // A damaged stream is not decoded; one that takes too long to read may have the maximum.
    let groups = match head.read(size) {
        Ok(groups) => groups,
        Err(BadStream::TooLong) => MAX_GROUPS,
        Err(BadStream::Damaged | BadStream::Cut | BadStream::TooMany | BadStream::Stopped(_)) => 0,
    };
    groups as u64 * GROUP_BYTES
}

/// Checks whether the stream of an image may be decoded; returns the offset of its pixels.
///
/// # Errors
///
/// [`DecodeError`] if it is damaged or has too many codes, or `watch` stops it.
pub(super) fn check(stream: &[u8], size: [u32; 2], watch: Watch<'_>) -> Result<usize, DecodeError> {
    let stream = stream.get(5..).ok_or(DecodeError::Truncated { format: FORMAT })?;
    let mut head = StreamHead::new(stream, watch, usize::MAX);
    head.read(size).map_err(BadStream::into_error)?;
    Ok(head.bits.bytes_read() + 5)
}

/// The same for the alpha channel of a lossy image.
///
/// # Errors
///
/// Like [`check`].
pub(super) fn check_alpha(
    chunk: &[u8],
    size: [u32; 2],
    watch: Watch<'_>,
) -> Result<(), DecodeError> {
    let Some(stream) = alpha_stream(chunk) else { return Ok(()) };
    StreamHead::new(stream, watch, usize::MAX).read(size).map_err(BadStream::into_error)?;
    Ok(())
}

/// The VP8L stream of an `ALPH` chunk, if it uses that coding.
fn alpha_stream(chunk: &[u8]) -> Option<&[u8]> {
    let (&flags, stream) = chunk.split_first()?;
    (flags & 0x03 == 1).then_some(stream)
}

/// Whether the stream is that of an image: it begins with a signature, which cannot be the first byte of an
/// alpha chunk.
fn is_image(stream: &[u8]) -> bool {
    stream.first() == Some(&0x2F)
}

/// A stream cannot be decoded.
#[derive(Debug)]
enum BadStream {
    Damaged,
    /// It ends before its pixels.
    Cut,
    /// It has too many groups of codes.
    TooMany,
    /// Reading it takes too many symbols.
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

/// A reader for the part of a stream before its pixels.
struct StreamHead<'a> {
    bits: LsbFirstBits<'a>,
    watch: Watch<'a>,
    symbols_left: usize,
}

impl<'a> StreamHead<'a> {
    fn new(stream: &'a [u8], watch: Watch<'a>, symbols: usize) -> Self {
        Self { bits: LsbFirstBits::new(stream), watch, symbols_left: symbols }
    }

    /// Reads this part, and counts the groups.
    fn read(&mut self, [mut width, height]: [u32; 2]) -> Result<usize, BadStream> {
        let mut seen = [false; 4];
        while self.bits.take(1)? == 1 {
            let kind = self.bits.take(2)?;
            if std::mem::replace(&mut seen[kind as usize], true) {
                return Err(BadStream::Damaged);
            }
            match kind {
                // Predictor or colour transform: an inner image with one entry per block.
                0 | 1 => {
                    let block = self.bits.take(3)? + 2;
                    self.inner([blocks(width, block), blocks(height, block)])?.read()?;
                }
                // Subtract-green transform: no data.
                2 => {}
                // A palette; several small indices share a pixel.
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
        if groups > MAX_GROUPS {
            return Err(BadStream::TooMany);
        }
        for _ in 0..groups {
            self.skip_codes(cache)?;
        }
        Ok(groups)
    }

    /// Reads the codes of an inner image.
    fn inner(&mut self, size: [u32; 2]) -> Result<Inner<'_, 'a>, BadStream> {
        let cache = self.cache_bits()?;
        let codes = self.codes(cache)?;
        Ok(Inner { head: self, size, cache, codes })
    }

    /// Number of bits of an index of the colour cache; 0 if there is none.
    fn cache_bits(&mut self) -> Result<u32, BadStream> {
        if self.bits.take(1)? == 0 {
            return Ok(0);
        }
        let bits = self.bits.take(4)?;
        if (1..=11).contains(&bits) { Ok(bits) } else { Err(BadStream::Damaged) }
    }

    /// Reads five codes: for green, lengths and the cache; red; blue; alpha; distances.
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

    /// Counts symbols, and checks the watch regularly.
    fn worked(&mut self, symbols: usize) -> Result<(), BadStream> {
        self.symbols_left = self.symbols_left.checked_sub(symbols).ok_or(BadStream::TooLong)?;
        if self.symbols_left.is_multiple_of(1 << 16) {
            self.watch.check().map_err(BadStream::Stopped)?;
        }
        Ok(())
    }
}

/// Number of symbols of each of the five codes.
fn alphabets(cache: u32) -> [usize; 5] {
    let cached = if cache == 0 { 0 } else { 1 << cache };
    [256 + 24 + cached, 256, 256, 256, 40]
}

/// Number of blocks of `2^bits` pixels on a side.
fn blocks(side: u32, bits: u32) -> u32 {
    side.div_ceil(1 << bits)
}
