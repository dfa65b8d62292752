//! The headers of bitmaps, in all versions since 1988.

use super::super::DecodeError;
use super::FORMAT;

/// The header's content, and the location of the pixels.
pub(super) struct BmpHeader<'a> {
    /// Columns and rows.
    pub(super) size: [u32; 2],
    /// Whether the first stored row is the top one.
    pub(super) top_down: bool,
    /// Bits per pixel: 1, 2, 4, 8, 16, 24 or 32.
    pub(super) bits: u8,
    pub(super) coding: BmpCoding,
    /// Colours as blue, green, red, and usually an unused byte.
    pub(super) palette: &'a [u8],
    /// Bytes of a colour in the palette.
    pub(super) entry_bytes: usize,
    /// Offset of the first row.
    pub(super) pixels: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BmpCoding {
    /// Indices of colours in the palette.
    Numbers,
    /// Indices in runs (RLE).
    Runs,
    /// Levels of red, green and blue, and possibly alpha.
    Masks { colors: [Mask; 3], alpha: Option<Mask> },
}

/// The bits of a pixel that belong to a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mask(u32);

impl Mask {
    /// The channel of `pixel`, scaled to 8 bits as Pillow does: rounded down.
    pub(super) fn of(self, pixel: u32) -> u8 {
        if self.0 == 0 {
            return 0;
        }
        let shift = self.0.trailing_zeros();
        let most = u64::from(self.0 >> shift);
        let value = u64::from((pixel & self.0) >> shift);
        u8::try_from(value * 255 / most).unwrap_or(u8::MAX)
    }
}

/// Size of the file header, which precedes the bitmap's header.
const FILE_HEADER: usize = 14;

/// Lengths of the bitmap's header: OS/2 1, Windows 3, its extensions by Adobe, OS/2 2 (short and long),
/// Windows 4 and 5.
const LENGTHS: [u32; 8] = [12, 16, 40, 52, 56, 64, 108, 124];

/// Whether the bytes begin like a bitmap. "BM" alone is not enough, because text may begin with it.
pub(in super::super) fn is_bitmap(bytes: &[u8]) -> bool {
    bytes.starts_with(b"BM")
        && number(bytes, FILE_HEADER, 4).is_some_and(|length| LENGTHS.contains(&length))
}

/// The little-endian number of `length` bytes at `at`.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u32> {
    let digits = bytes.get(at..at + length)?;
    Some(digits.iter().rev().fold(0, |number, &digit| number << 8 | u32::from(digit)))
}

impl<'a> BmpHeader<'a> {
    /// Reads the header. Limits are not checked yet.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::parse(bytes).ok_or(DecodeError::Truncated { format: FORMAT })?
    }

    /// `None` if the file ends within its header.
    fn parse(bytes: &'a [u8]) -> Option<Result<Self, DecodeError>> {
        let length = number(bytes, FILE_HEADER, 4)?;
        let is_old = length == 12;
        let (size, top_down, bits_at) = if is_old {
            ([number(bytes, 18, 2)?, number(bytes, 20, 2)?], false, 24)
        } else {
            let height = number(bytes, 22, 4)?.cast_signed();
            ([number(bytes, 18, 4)?, height.unsigned_abs()], height < 0, 28)
        };
        let bits = number(bytes, bits_at, 2)?;
        let is_short = length <= 16;
        let compression = if is_short { 0 } else { number(bytes, 30, 4)? };
        let announced_colors = if is_short { 0 } else { number(bytes, 46, 4)? };
        let end = FILE_HEADER + length as usize;
        // Masks are part of the header, or follow a short one.
        let masks_behind = if length == 40 { mask_bytes(compression) } else { 0 };
        let coding = match coding(bytes, length, compression, bits)? {
            Ok(coding) => coding,
            Err(error) => return Some(Err(error)),
        };
        let bits = u8::try_from(bits).unwrap_or(u8::MAX);
        let entry_bytes = if is_old { 3 } else { 4 };
        let has_palette = matches!(coding, BmpCoding::Numbers | BmpCoding::Runs);
        let most = if has_palette { 1_usize << bits } else { 256 };
        let colors =
            if announced_colors == 0 && has_palette { most } else { announced_colors as usize };
        let palette_at = end + masks_behind;
        let announced = number(bytes, 10, 4)? as usize;
        let palette_end = palette_at.saturating_add(colors.min(most) * entry_bytes);
        // An offset inside the header is invalid; one inside the palette shortens the palette. One at the start
        // of the palette is an error of the writer, because there is a palette.
        let is_wrong = announced < palette_at || has_palette && announced == palette_at;
        let pixels = if is_wrong || announced >= bytes.len() { palette_end } else { announced };
        let palette = bytes.get(palette_at..palette_end.min(pixels)).unwrap_or_default();
        Some(Ok(Self { size, top_down, bits, coding, palette, entry_bytes, pixels }))
    }
}

/// Bytes of masks after a header of Windows 3.
fn mask_bytes(compression: u32) -> usize {
    match compression {
        3 => 12,
        6 => 16,
        _ => 0,
    }
}

/// The coding of the pixels; `None` if the masks are truncated.
fn coding(
    bytes: &[u8],
    length: u32,
    compression: u32,
    bits: u32,
) -> Option<Result<BmpCoding, DecodeError>> {
    let is_os2 = matches!(length, 16 | 64);
    let unserved = |format| Some(Err(DecodeError::Unsupported { format }));
    let masks = |red, green, blue, alpha| {
        let alpha = (alpha != 0).then_some(Mask(alpha));
        Some(Ok(BmpCoding::Masks { colors: [Mask(red), Mask(green), Mask(blue)], alpha }))
    };
    match (compression, bits) {
        (0, 1 | 2 | 4 | 8) => Some(Ok(BmpCoding::Numbers)),
        (0, 16) => masks(0x7C00, 0x03E0, 0x001F, 0),
        (0, 24 | 32) => masks(0xFF_0000, 0xFF00, 0xFF, 0),
        (1, 8) | (2, 4) => Some(Ok(BmpCoding::Runs)),
        (3, 1) if is_os2 => unserved("a BMP with Huffman coding"),
        (4, 24) if is_os2 => unserved("a BMP with 24-bit run lengths"),
        (3 | 6, 16 | 24 | 32) => {
            let mask = |index: usize| number(bytes, FILE_HEADER + 40 + 4 * index, 4);
            let has_alpha = bits == 32 && (length >= 56 || compression == 6);
            let alpha = if has_alpha { mask(3)? } else { 0 };
            match [mask(0)?, mask(1)?, mask(2)?] {
                // As in Pillow, if a file announces masks but has none.
                [0, 0, 0] if bits == 32 => masks(0xFF_0000, 0xFF00, 0xFF, 0xFF00_0000),
                [0, 0, 0] => Some(Err(DecodeError::corrupt(FORMAT, "its channels have no bits"))),
                [red, green, blue] => masks(red, green, blue, alpha),
            }
        }
        (4, _) => unserved("a BMP with a JPEG inside"),
        (5, _) => unserved("a BMP with a PNG inside"),
        (0..=3 | 6, _) => Some(Err(DecodeError::corrupt(
            FORMAT,
            format!("{bits} bits a pixel do not go with compression {compression}"),
        ))),
        _ => unserved("a BMP of an unknown compression"),
    }
}

#[cfg(test)]
mod tests {
    use super::Mask;

    #[test]
    fn channels_of_any_width_are_scaled_to_8_bits() {
        assert_eq!(Mask(0x1F).of(0x1F), 255);
        assert_eq!(Mask(0x7C00).of(0x4000), 131);
        assert_eq!(Mask(0xFF00_0000).of(0x8000_0001), 128);
        assert_eq!(Mask(0).of(u32::MAX), 0);
        assert_eq!(Mask(u32::MAX).of(u32::MAX), 255);
    }
}
