//! The first directory of tags (TIFF 6.0, section 2; also with the 64-bit offsets of `BigTIFF`). Later
//! directories, and those inside tags, are ignored.

/// Maximum number of values of a tag. Offsets and lengths of strips and tiles are the longest lists: with 50
/// megapixels, 8192 tiles are 78×78.
pub(super) const MAX_NUMBERS: u64 = 1 << 17;

/// Maximum number of tags; TIFF itself defines about a hundred.
const MAX_ENTRIES: usize = 4096;

/// The byte order of a file, and the location of its tags.
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    pub(super) little_endian: bool,
    big: bool,
    /// Offset of the first entry.
    start: usize,
    entries: usize,
}

/// Why a tag's numbers cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadTag {
    /// They are beyond the end of the file.
    Cut,
    /// There are more than any image needs.
    TooMany,
    /// They are not integers.
    WrongKind,
}

impl<'a> Directory<'a> {
    /// `None` if the file ends before its first tag.
    pub(super) fn first(bytes: &'a [u8]) -> Option<Self> {
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
        let entries = usize::try_from(directory.number(offset, count)?).ok()?;
        directory.entries = entries.min(MAX_ENTRIES);
        directory.start = offset.checked_add(count)?;
        Some(directory)
    }

    /// The numbers of a tag; `None` if there is no such tag.
    pub(super) fn numbers(&self, tag: u64) -> Result<Option<Vec<u64>>, BadTag> {
        let Some(at) = self.entry(tag) else { return Ok(None) };
        let (values, size, count) = self.values(at)?;
        if count > MAX_NUMBERS {
            return Err(BadTag::TooMany);
        }
        (0..usize::try_from(count).map_err(|_| BadTag::TooMany)?)
            .map(|index| self.number(values + index * size, size).ok_or(BadTag::Cut))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// The bytes of a tag; `None` if there is no such tag.
    pub(super) fn bytes(&self, tag: u64) -> Result<Option<&'a [u8]>, BadTag> {
        let Some(at) = self.entry(tag) else { return Ok(None) };
        let (values, size, count) = self.values(at)?;
        let length = usize::try_from(count).map_err(|_| BadTag::TooMany)?.saturating_mul(size);
        self.bytes.get(values..values.saturating_add(length)).ok_or(BadTag::Cut).map(Some)
    }

    /// The offset of a tag's entry.
    fn entry(&self, tag: u64) -> Option<usize> {
        let length = if self.big { 20 } else { 12 };
        (0..self.entries)
            .map(|number| self.start.saturating_add(number * length))
            .find(|&at| self.number(at, 2) == Some(tag))
    }

    /// Offset, size and count of an entry's numbers.
    fn values(&self, at: usize) -> Result<(usize, usize, u64), BadTag> {
        let (count_length, place_length) = if self.big { (8, 8) } else { (4, 4) };
        let kind = self.number(at + 2, 2).ok_or(BadTag::Cut)?;
        let count = self.number(at + 4, count_length).ok_or(BadTag::Cut)?;
        let size = match kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 13 => 4,
            16..=18 => 8,
            _ => return Err(BadTag::WrongKind),
        };
        let place = at + 4 + count_length;
        if count.saturating_mul(size as u64) <= place_length as u64 {
            return Ok((place, size, count));
        }
        if count.saturating_mul(size as u64) > self.bytes.len() as u64 {
            return Err(BadTag::TooMany);
        }
        let place = self.number(place, place_length).ok_or(BadTag::Cut)?;
        let place = usize::try_from(place).map_err(|_| BadTag::Cut)?;
        if place.saturating_add(usize::try_from(count).unwrap_or(usize::MAX)) > self.bytes.len() {
            return Err(BadTag::Cut);
        }
        Ok((place, size, count))
    }

    /// The unsigned number of `length` bytes at `at`.
    fn number(&self, at: usize, length: usize) -> Option<u64> {
        let digits = self.bytes.get(at..at.checked_add(length)?)?.iter();
        let add = |number: u64, &digit: &u8| (number << 8) | u64::from(digit);
        Some(if self.little_endian { digits.rev().fold(0, add) } else { digits.fold(0, add) })
    }
}
