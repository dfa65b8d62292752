//! The orientation of an image: tag 274 of EXIF, or the same number in XMP.

use image::metadata::Orientation;
use memchr::memmem;

/// The orientation in an EXIF block (a small TIFF file), with or without the prefix `Exif\0\0` that some
/// programs write.
///
/// Only the first directory is read, once. The number may be a BYTE, SHORT or LONG, with or without sign; as in
/// Pillow, a list of several numbers is ignored. `None` if the block is damaged or has no orientation.
pub(super) fn orientation(block: &[u8]) -> Option<Orientation> {
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let little_endian = match block.first_chunk()? {
        [b'I', b'I', 42, 0] => true,
        [b'M', b'M', 0, 42] => false,
        _ => return None,
    };
    let u16_at = |at: usize| -> Option<u16> {
        let digits = *block.get(at..)?.first_chunk()?;
        Some(if little_endian { u16::from_le_bytes(digits) } else { u16::from_be_bytes(digits) })
    };
    let u32_at = |at: usize| -> Option<u32> {
        let digits = *block.get(at..)?.first_chunk()?;
        Some(if little_endian { u32::from_le_bytes(digits) } else { u32::from_be_bytes(digits) })
    };
    let directory = usize::try_from(u32_at(4)?).ok()?;
    let entries = usize::from(u16_at(directory)?);
    let entry = (0..entries)
        .map(|number| directory + 2 + number * 12)
        .find(|&at| u16_at(at) == Some(ORIENTATION))?;
    let value = match (u16_at(entry + 2)?, u32_at(entry + 4)?) {
        (1 | 6, 1) => u32::from(*block.get(entry + 8)?),
        (3 | 8, 1) => u32::from(u16_at(entry + 8)?),
        (4 | 9, 1) => u32_at(entry + 8)?,
        _ => return None,
    };
    Orientation::from_exif(u8::try_from(value).ok()?)
}

/// The orientation in an XMP packet, found as in Pillow: the first digit after `tiff:Orientation="` or
/// `tiff:Orientation>`.
pub(super) fn orientation_in_xmp(packet: &[u8]) -> Option<Orientation> {
    memmem::find_iter(packet, b"tiff:Orientation").find_map(|at| {
        let behind = &packet[at + b"tiff:Orientation".len()..];
        let digits = behind.strip_prefix(b"=\"").or_else(|| behind.strip_prefix(b">"))?;
        let digit = digits.first().filter(|digit| digit.is_ascii_digit())?;
        Orientation::from_exif(digit - b'0')
    })
}

/// The tag's number.
const ORIENTATION: u16 = 274;

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of one entry: `kind` and `count` as in TIFF 6.0, and four bytes of value.
    fn block(kind: u8, count: u8, value: [u8; 4]) -> Vec<u8> {
        let header = b"MM\0\x2A\0\0\0\x08\0\x01";
        [&header[..], &[1, 18, 0, kind, 0, 0, 0, count], &value, &[0; 4]].concat()
    }

    #[test]
    fn an_orientation_is_a_short_a_long_or_a_byte_and_one_number() {
        let (byte, short, long) = ([6, 0, 0, 0], [0, 6, 0, 0], [0, 0, 0, 6]);
        let kinds = [(1, byte), (3, short), (4, long), (6, byte), (8, short), (9, long)];
        for (kind, value) in kinds {
            let block = block(kind, 1, value);
            assert_eq!(orientation(&block), Some(Orientation::Rotate90), "kind {kind}");
            let prefixed = [b"Exif\0\0", &block[..]].concat();
            assert_eq!(orientation(&prefixed), Some(Orientation::Rotate90), "kind {kind}");
        }
        assert_eq!(orientation(&block(3, 1, [0, 9, 0, 0])), None);
        assert_eq!(orientation(&block(3, 2, [0, 6, 0, 6])), None);
        assert_eq!(orientation(&block(9, 1, [0xFF; 4])), None);
        assert_eq!(orientation(&block(3, 1, [0, 6, 0, 0])[..12]), None);
    }

    #[test]
    fn an_orientation_in_xmp_is_an_attribute_or_an_element() {
        let turned = Some(Orientation::Rotate270);
        assert_eq!(orientation_in_xmp(b"<a tiff:Orientation=\"8\" />"), turned);
        assert_eq!(orientation_in_xmp(b"<tiff:Orientation>8</tiff:Orientation>"), turned);
        assert_eq!(orientation_in_xmp(b"<a tiff:Orientation='8' />"), None);
    }
}
