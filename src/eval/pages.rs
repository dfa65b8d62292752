//! What the pages of a parquet file say they take, read before memory is taken for them.
//!
//! The file's footer sums them up, but the reader believes each page's own header. A header is a struct in
//! Thrift's compact protocol: `PageHeader` in the format's parquet.thrift.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

/// Fields of a header: the page's size unpacked and packed, and what is known of a page of data, of a dictionary,
/// and of data in the second version.
const UNPACKED: i64 = 2;
const PACKED: i64 = 3;
const DATA: i64 = 5;
const DICTIONARY: i64 = 7;
const DATA_V2: i64 = 8;

/// What the reader holds for each value of a dictionary.
const EACH_VALUE: u64 = 32;

/// Encodings whose data say how many values there are: the reader takes memory for so many.
const UNBOUNDED: [i64; 2] = [6, 7];

/// Types of the compact protocol.
const I32: u8 = 5;
const STRUCT: u8 = 12;

/// Structs in structs: a header has one in it, and that has statistics.
const DEEPEST: u32 = 8;

/// What all pages take, unpacked, in bytes; it stops once it is more than `most`.
///
/// # Errors
///
/// Where a header cannot be read.
pub(super) fn unpacked(
    file: &mut (impl Read + Seek),
    metadata: &ParquetMetaData,
    most: u64,
) -> io::Result<u64> {
    let mut sum = 0_u64;
    for column in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let (mut at, end) = place(column)?;
        while at < end && sum <= most {
            file.seek(SeekFrom::Start(at))?;
            let header = Header::read(&mut Compact { input: BufReader::new(&mut *file), read: 0 })?;
            sum = sum.saturating_add(header.unpacked);
            at = at.saturating_add(header.length).saturating_add(header.packed);
        }
    }
    Ok(sum)
}

/// Where a column's pages begin and end, as the reader has it.
fn place(column: &ColumnChunkMetaData) -> io::Result<(u64, u64)> {
    let first = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let (start, length) = (u64::try_from(first), u64::try_from(column.compressed_size()));
    match (start, length) {
        (Ok(start), Ok(length)) => Ok((start, start.saturating_add(length))),
        _ => Err(damaged("a column begins before the file, or has less than no bytes")),
    }
}

/// A page's header.
struct Header {
    length: u64,
    unpacked: u64,
    packed: u64,
}

impl Header {
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
            return Err(damaged("a page does not say its size"));
        };
        Ok(Self { length: input.read, unpacked: unpacked.saturating_add(beside), packed })
    }
}

/// Thrift's compact protocol, of which values are passed over.
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
        Err(damaged("a number of a page's header is too long"))
    }

    /// A signed number: the sign is the lowest bit.
    fn integer(&mut self) -> io::Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn count(&mut self) -> io::Result<u64> {
        u64::try_from(self.integer()?).map_err(|_| damaged("a size in a page's header is negative"))
    }

    /// How many values a page has, by the struct that says so and in its field `encoding` how they are stored.
    fn values(&mut self, encoding: i64) -> io::Result<u64> {
        let (mut values, mut last) = (0, 0);
        while let Some((id, kind)) = self.field(last)? {
            last = id;
            match (id, kind) {
                (1, I32) => values = self.count()?,
                (_, I32) if id == encoding => {
                    if UNBOUNDED.contains(&self.integer()?) {
                        return Err(damaged(
                            "its bytes are in DELTA_LENGTH_BYTE_ARRAY or DELTA_BYTE_ARRAY, which are not \
                             read; write it with the encoding PLAIN",
                        ));
                    }
                }
                _ => self.skip(kind, DEEPEST)?,
            }
        }
        Ok(values)
    }

    /// The next field's number and type, behind the field `last`; `None` at the end of the struct.
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

    /// Passes over a value of a field.
    fn skip(&mut self, kind: u8, depth: u32) -> io::Result<()> {
        let Some(deeper) = depth.checked_sub(1) else {
            return Err(damaged("a page's header has structs in structs, too many"));
        };
        match kind {
            // A field's boolean is in its type.
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
            _ => Err(damaged("a field of a page's header has no type")),
        }
    }

    /// Passes over what a list or a map holds, each time one of `kinds`.
    fn elements(&mut self, count: u64, kinds: &[u8], depth: u32) -> io::Result<()> {
        for _ in 0..count {
            for kind in kinds {
                // A boolean that is no field is a byte.
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

    /// The metadata of `bytes`, and where its first page is.
    fn opened(bytes: &[u8]) -> (ParquetMetaData, usize) {
        let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).unwrap();
        let metadata = reader.metadata().clone();
        let (start, _) = place(metadata.row_group(0).column(0)).unwrap();
        (metadata, usize::try_from(start).unwrap())
    }

    #[test]
    fn pages_take_what_the_footer_says_and_one_that_says_more_is_noticed() {
        let mut bytes = sample();
        let (metadata, first) = opened(&bytes);
        let sum = unpacked(&mut Cursor::new(&bytes), &metadata, u64::MAX).unwrap();
        let footer: i64 = metadata.row_groups().iter().map(RowGroupMetaData::total_byte_size).sum();
        // The footer's sum has the headers and not what the values of dictionaries take.
        let footer = u64::try_from(footer).unwrap();
        assert!(sum + 1000 > footer && sum < 2 * footer, "{sum} of {footer}");
        // Behind the page's type: field 2, an i32, in as many bytes as it has.
        assert_eq!(bytes[first], 0x15);
        let field = first + 1 + bytes[first + 1..].iter().position(|byte| *byte == 0x15).unwrap();
        let digits = bytes[field + 1..].iter().take_while(|byte| **byte & 0x80 != 0).count();
        bytes[field + 1..field + 1 + digits].fill(0xFE);
        bytes[field + 1 + digits] = 0x7F;
        let lying = unpacked(&mut Cursor::new(&bytes), &metadata, u64::MAX).unwrap();
        assert!(lying > sum, "{lying}");
    }

    /// A page's header of these fields, each a number of one byte's header and its value.
    fn header(id: u8, values: &[(u8, u8)]) -> Vec<u8> {
        let numbers = values.iter().flat_map(|(step, value)| [step << 4 | I32, 2 * value]);
        let before = [0x15, 0, 0x15, 2 * 40, 0x15, 2 * 20];
        before.into_iter().chain([(id - 3) << 4 | STRUCT]).chain(numbers).chain([0, 0]).collect()
    }

    #[test]
    fn values_of_a_dictionary_count_and_encodings_without_a_bound_are_named() {
        let read = |bytes: &[u8]| Header::read(&mut Compact { input: bytes, read: 0 });
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
            let answer = unpacked(&mut Cursor::new(&bytes), &metadata, u64::MAX);
            assert!(answer.is_err(), "{wrong}: {answer:?}");
        }
        assert!(unpacked(&mut Cursor::new(&whole[..first + 3]), &metadata, u64::MAX).is_err());
    }
}
