//! An image inside a stream, with one number for each block of the main image.

use super::bits::{Code, LsbFirstBits};
use super::{BadStream, StreamHead};

/// An inner image after its codes were read; its pixels come next.
pub(super) struct Inner<'h, 'a> {
    pub(super) head: &'h mut StreamHead<'a>,
    pub(super) size: [u32; 2],
    /// Number of bits of an index of the colour cache.
    pub(super) cache: u32,
    pub(super) codes: [Code; 5],
}

/// The meaning of a symbol of the first code.
enum PixelSymbol {
    /// A pixel.
    Literal(u32),
    /// A copy of `length` pixels from `distance` pixels before.
    Copy { length: usize, distance: u32 },
    /// A colour of the cache, by its index.
    Cached(usize),
}

impl Inner<'_, '_> {
    /// Skips the image, because its pixels are not needed.
    pub(super) fn read(mut self) -> Result<(), BadStream> {
        let mut left = self.pixels();
        while left > 0 {
            let length = match self.symbol()? {
                PixelSymbol::Literal(_) | PixelSymbol::Cached(_) => 1,
                PixelSymbol::Copy { length, .. } => length,
            };
            left = left.checked_sub(length).ok_or(BadStream::Damaged)?;
        }
        Ok(())
    }

    /// The highest index of a group, which is in the red and green channels.
    pub(super) fn most_group(mut self) -> Result<usize, BadStream> {
        let total = self.pixels();
        let mut pixels: Vec<u32> = Vec::new();
        let mut cache = vec![0; if self.cache == 0 { 0 } else { 1 << self.cache }];
        let place =
            |color: u32, bits: u32| (0x1E35_A7BD_u32.wrapping_mul(color) >> (32 - bits)) as usize;
        while pixels.len() < total {
            let before = pixels.len();
            match self.symbol()? {
                PixelSymbol::Literal(color) => pixels.push(color),
                PixelSymbol::Cached(index) => {
                    pixels.push(*cache.get(index).ok_or(BadStream::Damaged)?);
                }
                PixelSymbol::Copy { length, distance } => {
                    let distance = self.distance(distance);
                    let from = before.checked_sub(distance).ok_or(BadStream::Damaged)?;
                    if length > total - before {
                        return Err(BadStream::Damaged);
                    }
                    (from..from + length).for_each(|at| pixels.push(pixels[at]));
                }
            }
            if self.cache > 0 {
                pixels[before..].iter().for_each(|&color| cache[place(color, self.cache)] = color);
            }
        }
        let group = |color: &u32| (color >> 8 & 0xFFFF) as usize;
        pixels.iter().map(group).max().ok_or(BadStream::Damaged)
    }

    fn pixels(&self) -> usize {
        self.size[0] as usize * self.size[1] as usize
    }

    fn symbol(&mut self) -> Result<PixelSymbol, BadStream> {
        self.head.worked(1)?;
        let [green, red, blue, alpha, distances] = &self.codes;
        let bits = &mut self.head.bits;
        let symbol = u32::from(green.next(bits)?);
        match symbol {
            0..256 => {
                let red = u32::from(red.next(bits)?);
                let blue = u32::from(blue.next(bits)?);
                let alpha = u32::from(alpha.next(bits)?);
                Ok(PixelSymbol::Literal(alpha << 24 | red << 16 | symbol << 8 | blue))
            }
            256..280 => {
                let length = number(bits, symbol - 256)? as usize;
                let prefix = u32::from(distances.next(bits)?);
                Ok(PixelSymbol::Copy { length, distance: number(bits, prefix)? })
            }
            _ => Ok(PixelSymbol::Cached(symbol as usize - 280)),
        }
    }

    /// Decodes a distance; small codes are positions near the pixel, in rows and columns.
    fn distance(&self, code: u32) -> usize {
        let Some(&near) = NEAR.get(code as usize - 1) else {
            return code as usize - NEAR.len();
        };
        let (down, across) = (i64::from(near >> 4), 8 - i64::from(near & 0x0F));
        let distance = down * i64::from(self.size[0]) + across;
        usize::try_from(distance.max(1)).unwrap_or(1)
    }
}

/// RFC 9649, section 5.2.2: a length or a distance; `prefix` determines how many bits follow.
fn number(bits: &mut LsbFirstBits<'_>, prefix: u32) -> Result<u32, BadStream> {
    if prefix < 4 {
        return Ok(prefix + 1);
    }
    let extra = (prefix - 2) >> 1;
    Ok(((2 + (prefix & 1)) << extra) + bits.take(extra)? + 1)
}

/// RFC 9649, section 5.2.2: rows above in the high half; 8 minus the columns to the left in the low half.
const NEAR: [u8; 120] = [
    0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1a, 0x26, 0x2a, 0x38, 0x05, 0x37, 0x39,
    0x15, 0x1b, 0x36, 0x3a, 0x25, 0x2b, 0x48, 0x04, 0x47, 0x49, 0x14, 0x1c, 0x35, 0x3b, 0x46, 0x4a,
    0x24, 0x2c, 0x58, 0x45, 0x4b, 0x34, 0x3c, 0x03, 0x57, 0x59, 0x13, 0x1d, 0x56, 0x5a, 0x23, 0x2d,
    0x44, 0x4c, 0x55, 0x5b, 0x33, 0x3d, 0x68, 0x02, 0x67, 0x69, 0x12, 0x1e, 0x66, 0x6a, 0x22, 0x2e,
    0x54, 0x5c, 0x43, 0x4d, 0x65, 0x6b, 0x32, 0x3e, 0x78, 0x01, 0x77, 0x79, 0x53, 0x5d, 0x11, 0x1f,
    0x64, 0x6c, 0x42, 0x4e, 0x76, 0x7a, 0x21, 0x2f, 0x75, 0x7b, 0x31, 0x3f, 0x63, 0x6d, 0x52, 0x5e,
    0x00, 0x74, 0x7c, 0x41, 0x4f, 0x10, 0x20, 0x62, 0x6e, 0x30, 0x73, 0x7d, 0x51, 0x5f, 0x40, 0x72,
    0x7e, 0x61, 0x6f, 0x50, 0x71, 0x7f, 0x60, 0x70,
];
