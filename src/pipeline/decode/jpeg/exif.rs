//! How an EXIF block says that a picture is turned.

use image::metadata::Orientation;

/// The tag of the orientation.
const ORIENTATION: u16 = 0x0112;

/// The orientation in a TIFF header and its first directory: a whole number of any width, as Pillow takes
/// it. A list of more than one number is none.
pub(super) fn orientation(tiff: &[u8]) -> Option<Orientation> {
    let order = match tiff.first_chunk()? {
        b"II*\0" => Order::Little,
        b"MM\0*" => Order::Big,
        _ => return None,
    };
    let first = usize::try_from(order.u32(tiff, 4)?).ok()?;
    let count = usize::from(order.u16(tiff, first)?);
    let entries = tiff.get(first.checked_add(2)?..)?.as_chunks::<12>().0;
    let entry =
        entries.iter().take(count).find(|entry| order.u16(&entry[..], 0) == Some(ORIENTATION))?;
    let value = match (order.u16(entry, 2)?, order.u32(entry, 4)?) {
        (1, 1) => u32::from(entry[8]),
        (3, 1) => u32::from(order.u16(entry, 8)?),
        (4, 1) => order.u32(entry, 8)?,
        _ => return None,
    };
    Orientation::from_exif(u8::try_from(value).ok()?)
}

/// In which order a number's bytes are stored.
#[derive(Debug, Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let number = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(number),
            Self::Big => u16::from_be_bytes(number),
        })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let number = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(number),
            Self::Big => u32::from_be_bytes(number),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: u8, count: u8, value: [u8; 4]) -> Vec<u8> {
        let start = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0";
        [&start[..], &[kind, 0, 0, 0, count], &value, &[0; 4]].concat()
    }

    #[test]
    fn one_whole_number_of_any_width_counts_and_a_list_does_not() {
        for (kind, value) in [(1, [6, 0, 0, 0]), (3, [0, 6, 0, 0]), (4, [0, 0, 0, 6])] {
            assert_eq!(orientation(&block(kind, 1, value)), Some(Orientation::Rotate90));
            assert_eq!(orientation(&block(kind, 2, value)), None);
        }
        assert_eq!(orientation(&block(3, 1, [0, 9, 0, 0])), None);
        assert_eq!(orientation(&block(5, 1, [0, 0, 0, 6])), None);
        let whole = block(3, 1, [0, 6, 0, 0]);
        for length in 0..whole.len() - 4 {
            let _ = orientation(&whole[..length]);
        }
    }
}
