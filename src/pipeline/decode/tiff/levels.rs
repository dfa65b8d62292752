//! Converts the bytes of a row to 8-bit levels for each channel, and these to RGB over white.

use super::super::rgb::{blend, blend_associated, from_cmyk};
use super::layout::{Alpha, Colors, Layout};

/// Encoding and meaning of the levels.
pub(super) struct Levels<'a> {
    layout: &'a Layout<'a>,
    /// Whether they are palette indices, which are not scaled to 8 bits.
    are_numbers: bool,
}

impl<'a> Levels<'a> {
    pub(super) fn of(layout: &'a Layout<'a>) -> Self {
        Self { layout, are_numbers: matches!(layout.colors, Colors::Palette(_)) }
    }

    /// Reads `count` channels from `bytes`. Of more than 8 bits, the highest 8 are kept.
    pub(super) fn of_bytes<'t>(
        &self,
        bytes: &[u8],
        count: usize,
        to: impl Iterator<Item = &'t mut u8>,
    ) {
        let bits = usize::from(self.layout.bits);
        match bits {
            8 => to.zip(bytes).for_each(|(to, &byte)| *to = byte),
            16 => {
                let high = usize::from(self.layout.little_endian);
                to.zip(bytes.chunks_exact(2)).for_each(|(to, pair)| *to = pair[high]);
            }
            12 => to.zip(0..count).for_each(|(to, index)| {
                let at = index * 12 / 8;
                *to = if index % 2 == 0 { bytes[at] } else { bytes[at] << 4 | bytes[at + 1] >> 4 };
            }),
            _ => {
                let most = (1_u8 << bits) - 1;
                let spread = if self.are_numbers { 1 } else { 255 / most };
                to.zip(0..count).for_each(|(to, index)| {
                    let at = index * bits;
                    *to = (bytes[at / 8] >> (8 - bits - at % 8) & most) * spread;
                });
            }
        }
    }

    /// Converts as many pixels as `rgb` takes.
    pub(super) fn to_rgb(&self, row: &[u8], rgb: &mut [u8]) {
        let channels = self.layout.channels;
        let pixels = rgb.chunks_exact_mut(3).zip(row.chunks_exact(channels));
        match &self.layout.colors {
            Colors::WhiteIsZero => pixels.for_each(|(to, from)| {
                to.fill(self.over_white(255 - from[0], from, 1));
            }),
            Colors::BlackIsZero => pixels.for_each(|(to, from)| {
                to.fill(self.over_white(from[0], from, 1));
            }),
            Colors::Rgb | Colors::YCbCr => pixels.for_each(|(to, from)| {
                to.copy_from_slice(
                    &[0, 1, 2].map(|channel| self.over_white(from[channel], from, 3)),
                );
            }),
            Colors::Palette(colors) => pixels.for_each(|(to, from)| {
                let color = colors.get(usize::from(from[0])).copied().unwrap_or_default();
                to.copy_from_slice(&color.map(|level| self.over_white(level, from, 1)));
            }),
            Colors::Cmyk => pixels.for_each(|(to, from)| {
                to.copy_from_slice(&from_cmyk([from[0], from[1], from[2], from[3]]));
            }),
        }
    }

    fn over_white(&self, level: u8, pixel: &[u8], alpha: usize) -> u8 {
        match self.layout.alpha {
            Alpha::None => level,
            Alpha::Associated => blend_associated(level, pixel[alpha]),
            Alpha::Unassociated => blend(level, pixel[alpha]),
        }
    }
}

/// Undoes the horizontal predictor (TIFF 6.0, section 14).
pub(super) fn add_up(bytes: &mut [u8], layout: &Layout<'_>, channels: usize) {
    if layout.bits == 8 {
        for at in channels..bytes.len() {
            bytes[at] = bytes[at].wrapping_add(bytes[at - channels]);
        }
        return;
    }
    let swap = |number: u16| {
        if layout.little_endian { u16::from_le(number) } else { u16::from_be(number) }
    };
    let number = |bytes: &[u8], at: usize| swap(u16::from_ne_bytes([bytes[at], bytes[at + 1]]));
    for at in (channels * 2..bytes.len() - 1).step_by(2) {
        let sum = number(bytes, at).wrapping_add(number(bytes, at - channels * 2));
        bytes[at..at + 2].copy_from_slice(&swap(sum).to_ne_bytes());
    }
}
