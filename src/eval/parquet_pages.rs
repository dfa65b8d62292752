//! The decompressed sizes announced by a parquet file's page headers, read before memory is allocated for them.
//!
//! The file's footer has their sum, but the reader trusts each page's own header. A header is a struct in
//! Thrift's compact protocol: `PageHeader` in the format's parquet.thrift.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

/// Field ids of a page header: decompressed and compressed size, and the headers of data pages, dictionary pages
/// and data pages of version 2.
const UNPACKED: i64 = 2;
const PACKED: i64 = 3;
const DATA: i64 = 5;
const DICTIONARY: i64 = 7;
const DATA_V2: i64 = 8;

/// Bytes that the reader holds for each value of a dictionary.
const EACH_VALUE: u64 = 32;

/// Encodings whose data contain the number of values, for which the reader allocates memory without a limit:
/// `DELTA_LENGTH_BYTE_ARRAY` and `DELTA_BYTE_ARRAY`.
const UNBOUNDED: [i64; 2] = [6, 7];

/// Types of the compact protocol.
const I32: u8 = 5;
const STRUCT: u8 = 12;

/// The deepest nesting of structs; real headers have two levels.
const DEEPEST: u32 = 8;

/// The decompressed size of all pages, in bytes. Stops early when it exceeds `most`.
///
/// # Errors
///
/// If a header cannot be read.
pub(super) fn decompressed_size(
    file: &mut (impl Read + Seek),
    metadata: &ParquetMetaData,
    most: u64,
) -> io::Result<u64> {
    let mut sum = 0_u64;
    for column in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let (mut at, end) = place(column)?;
        while at < end && sum <= most {
            file.seek(SeekFrom::Start(at))?;
            let header =
                PageHeader::read(&mut Compact { input: BufReader::new(&mut *file), read: 0 })?;
            sum = sum.saturating_add(header.unpacked);
            at = at.saturating_add(header.length).saturating_add(header.packed);
        }
    }
    Ok(sum)
}

/// The start and end of a column's pages, computed as the reader does.
fn place(column: &ColumnChunkMetaData) -> io::Result<(u64, u64)> {
    let first = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let (start, length) = (u64::try_from(first), u64::try_from(column.compressed_size()));
    match (start, length) {
        (Ok(start), Ok(length)) => Ok((start, start.saturating_add(length))),
        _ => Err(damaged("a column has a negative offset or size")),
    }
}

/// A page's header.
struct PageHeader {
    length: u64,
    unpacked: u64,
    packed: u64,
}

impl PageHeader {
    fn read(input: &mut Compact<impl Read>) -> io::Result<Self> {
        let (mut unpacked, mut packed, mut beside) = (None, None, 0);
        let mut last = 0_i64;
        while let Some((id, kind)) = input.field(last)? {
            last = id;
            match (id, kind) {
                (UNPACKED, I32) => unpacked = Some(input.count()?),
                (PACKED, I32) => packed = Some(input.count()?),
                (DATA | DICTIONARY | DATA_V2, STRUCT) => {
                    let values = input.values(if id == DATA_V2 { 4 } else { 2 })?;
                    if id == DICTIONARY {
                        beside = values.saturating_mul(EACH_VALUE);
                    }
                }
                _ => input.skip(kind, DEEPEST)?,
            }
        }
        let (Some(unpacked), Some(packed)) = (unpacked, packed) else {
            return Err(damaged("a page header has no size"));
        };
        Ok(Self { length: input.read, unpacked: unpacked.saturating_add(beside), packed })
    }
}

/// A reader of Thrift's compact protocol that skips values.
struct Compact<R> {
    input: R,
    read: u64,
}

impl<R: Read> Compact<R> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        self.read += 1;
        Ok(byte[0])
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged("a number in a page header is too long"))
    }

    /// A signed number: the sign is the lowest bit.
    fn integer(&mut self) -> io::Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn count(&mut self) -> io::Result<u64> {
        u64::try_from(self.integer()?).map_err(|_| damaged("a size in a page header is negative"))
    }

    /// The number of values of a page, from its struct, whose field `encoding` has the encoding.
    fn values(&mut self, encoding: i64) -> io::Result<u64> {
        let (mut values, mut last) = (0, 0);
        while let Some((id, kind)) = self.field(last)? {
            last = id;
            match (id, kind) {
                (1, I32) => values = self.count()?,
                (_, I32) if id == encoding => {
                    if UNBOUNDED.contains(&self.integer()?) {
                        return Err(damaged(
                            "the encodings DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY are not supported; \
                             write the file with the encoding PLAIN",
                        ));
                    }
                }
                _ => self.skip(kind, DEEPEST)?,
            }
        }
        Ok(values)
    }

    /// The id and type of the field after `last`; `None` at the end of the struct.
    fn field(&mut self, last: i64) -> io::Result<Option<(i64, u8)>> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        let id = match head >> 4 {
            0 => self.integer()?,
            more => last.saturating_add(more.into()),
        };
        Ok(Some((id, head & 15)))
    }

    /// Skips the value of a field.
    fn skip(&mut self, kind: u8, depth: u32) -> io::Result<()> {
        let Some(deeper) = depth.checked_sub(1) else {
            return Err(damaged("structs in a page header are nested too deeply"));
        };
        match kind {
            // The type of a boolean field contains its value.
            1 | 2 => Ok(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(drop),
            7 => self.pass(8),
            8 => {
                let length = self.varint()?;
                self.pass(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                self.elements(count, &[head & 15], deeper)
            }
            11 => match self.varint()? {
                0 => Ok(()),
                count => {
                    let kinds = self.byte()?;
                    self.elements(count, &[kinds >> 4, kinds & 15], deeper)
                }
            },
            STRUCT => {
                let mut last = 0;
                while let Some((id, kind)) = self.field(last)? {
                    last = id;
                    self.skip(kind, deeper)?;
                }
                Ok(())
            }
            _ => Err(damaged("a field of a page header has an unknown type")),
        }
    }

    /// Skips the elements of a list or map: `count` times one of each of `kinds`.
    fn elements(&mut self, count: u64, kinds: &[u8], depth: u32) -> io::Result<()> {
        for _ in 0..count {
            for kind in kinds {
                // In a list or map, a boolean is a byte.
                self.skip(if matches!(kind, 1 | 2) { 3 } else { *kind }, depth)?;
            }
        }
        Ok(())
    }

    fn pass(&mut self, bytes: u64) -> io::Result<()> {
        let passed = io::copy(&mut (&mut self.input).take(bytes), &mut io::sink())?;
        self.read += passed;
        if passed == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    fn sample() -> Vec<u8> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cifar10-sample.parquet");
        std::fs::read(path).unwrap()
    }

    /// The metadata of `bytes`, and the offset of the first page.
    fn opened(bytes: &[u8]) -> (ParquetMetaData, usize) {
        let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).unwrap();
        let metadata = reader.metadata().clone();
        let (start, _) = place(metadata.row_group(0).column(0)).unwrap();
        (metadata, usize::try_from(start).unwrap())
    }

    #[test]
    fn sizes_in_page_headers_are_summed_even_where_they_exceed_the_footer() {
        let mut bytes = sample();
        let (metadata, first) = opened(&bytes);
        let sum = decompressed_size(&mut Cursor::new(&bytes), &metadata, u64::MAX).unwrap();
        let footer: i64 = metadata.row_groups().iter().map(RowGroupMetaData::total_byte_size).sum();
        // The footer's sum includes the headers, but not the memory for dictionary values.
        let footer = u64::try_from(footer).unwrap();
        assert!(sum + 1000 > footer && sum < 2 * footer, "{sum} of {footer}");
        // After the page type: field 2, an i32 of variable length.
        assert_eq!(bytes[first], 0x15);
        let field = first + 1 + bytes[first + 1..].iter().position(|byte| *byte == 0x15).unwrap();
        let digits = bytes[field + 1..].iter().take_while(|byte| **byte & 0x80 != 0).count();
        bytes[field + 1..field + 1 + digits].fill(0xFE);
        bytes[field + 1 + digits] = 0x7F;
        let lying = decompressed_size(&mut Cursor::new(&bytes), &metadata, u64::MAX).unwrap();
        assert!(lying > sum, "{lying}");
    }

    /// A page header whose struct `id` has these numbers: (step of the field id, value).
    fn header(id: u8, values: &[(u8, u8)]) -> Vec<u8> {
        let numbers = values.iter().flat_map(|(step, value)| [step << 4 | I32, 2 * value]);
        let before = [0x15, 0, 0x15, 2 * 40, 0x15, 2 * 20];
        before.into_iter().chain([(id - 3) << 4 | STRUCT]).chain(numbers).chain([0, 0]).collect()
    }

    #[test]
    fn dictionary_values_are_counted_and_unbounded_encodings_are_rejected() {
        let read = |bytes: &[u8]| PageHeader::read(&mut Compact { input: bytes, read: 0 });
        let dictionary = read(&header(7, &[(1, 9), (1, 0)])).unwrap();
        assert_eq!((dictionary.unpacked, dictionary.packed), (40 + 9 * EACH_VALUE, 20));
        assert_eq!(dictionary.length, 13);
        assert_eq!(read(&header(5, &[(1, 9), (1, 8)])).unwrap().unpacked, 40);
        for wrong in [header(5, &[(1, 9), (1, 6)]), header(8, &[(1, 9), (3, 7)])] {
            let error = read(&wrong).err().unwrap().to_string();
            assert!(error.contains("DELTA_BYTE_ARRAY"), "{error}");
        }
    }

    #[test]
    fn damaged_headers_are_errors() {
        let whole = sample();
        let (metadata, first) = opened(&whole);
        for (place, wrong) in [(0, 0xFF), (0, 0), (1, 0xFF), (0, 0x1C), (0, 0x1F)] {
            let mut bytes = whole.clone();
            bytes[first + place..first + place + 40].fill(wrong);
            let answer = decompressed_size(&mut Cursor::new(&bytes), &metadata, u64::MAX);
            assert!(answer.is_err(), "{wrong}: {answer:?}");
        }
        assert!(
            decompressed_size(&mut Cursor::new(&whole[..first + 3]), &metadata, u64::MAX).is_err()
        );
    }
}
