//! TIFF: the first directory of tags (TIFF 6.0, section 2; also with the 64-bit offsets of `BigTIFF`).

/// Whether the directory asks for no more values than the file can hold and a picture can need.
///
/// The decoder makes room for the numbers that a tag announces before it reads them, 32 bytes for
/// each.
pub(super) fn tags_are_modest(bytes: &[u8]) -> bool {
    let Some(directory) = Directory::first(bytes) else {
        return true; // the decoder says what is wrong
    };
    (0..directory.entries).all(|number| directory.is_modest(number))
}

/// Offsets and lengths of pieces are the longest lists: 8192 pieces of 50 megapixels are 78×78.
const MOST_NUMBERS: u64 = 1 << 17;

/// How numbers are written in this file.
struct Directory<'a> {
    bytes: &'a [u8],
    little_endian: bool,
    big: bool,
    /// Where the first entry is.
    start: usize,
    entries: usize,
}

impl<'a> Directory<'a> {
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let mut directory = Self {
            bytes,
            little_endian: bytes.first() == Some(&b'I'),
            big: bytes.get(2..4)?.contains(&43),
            start: 0,
            entries: 0,
        };
        let (offset, count) =
            if directory.big { (directory.number(8, 8)?, 8) } else { (directory.number(4, 4)?, 2) };
        let offset = usize::try_from(offset).ok()?;
        directory.entries =
            usize::try_from(directory.number(offset, count)?).ok()?.min(bytes.len());
        directory.start = offset.checked_add(count)?;
        Some(directory)
    }

    fn is_modest(&self, number: usize) -> bool {
        let (entry_length, count_length) = if self.big { (20, 8) } else { (12, 4) };
        let at = self.start.saturating_add(number * entry_length);
        let (Some(kind), Some(count)) = (self.number(at + 2, 2), self.number(at + 4, count_length))
        else {
            return true; // the file is cut off
        };
        match kind {
            // Bytes and text are read as they are: they only have to be there.
            1 | 2 | 6 | 7 => count <= self.bytes.len() as u64,
            _ => count <= MOST_NUMBERS,
        }
    }

    /// The unsigned number of `length` bytes at `at`.
    fn number(&self, at: usize, length: usize) -> Option<u64> {
        let digits = self.bytes.get(at..at.checked_add(length)?)?.iter();
        let add = |number: u64, &digit: &u8| (number << 8) | u64::from(digit);
        Some(if self.little_endian { digits.rev().fold(0, add) } else { digits.fold(0, add) })
    }
}
