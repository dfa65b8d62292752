//! Decompresses a strip or tile row by row, and never more than the image needs.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;
use weezl::{BitOrder, LzwStatus};

use super::super::DecodeError;
use super::FORMAT;
use super::fax;
use super::layout::{Layout, TiffCompression};

/// A strip or tile that is being decompressed.
pub(super) enum Rows<'a> {
    Raw(&'a [u8]),
    PackBits(PackBits<'a>),
    Lzw { decoder: Box<weezl::decode::Decoder>, data: Cow<'a, [u8]>, at: usize },
    Deflate(Box<ZlibDecoder<Bytes<'a>>>),
    Fax(fax::FaxRows<'a>),
    Reversed(Reversed),
}

/// Compressed bytes, which were copied if their bits had to be reversed.
pub(super) type Bytes<'a> = std::io::Cursor<Cow<'a, [u8]>>;

/// Decompressed bytes, whose bits are reversed if the lowest comes first.
pub(super) struct Reversed {
    data: Vec<u8>,
    at: usize,
}

impl<'a> Rows<'a> {
    /// A reader for a strip or tile of `layout` with any compression except JPEG.
    pub(super) fn new(layout: &Layout<'_>, data: &'a [u8]) -> Result<Self, DecodeError> {
        let bits: Cow<'a, [u8]> = if layout.lowest_bit_first {
            data.iter().map(|byte| byte.reverse_bits()).collect::<Vec<_>>().into()
        } else {
            data.into()
        };
        Ok(match layout.coding {
            TiffCompression::Raw if layout.lowest_bit_first => {
                Self::Reversed(Reversed { data: bits.into_owned(), at: 0 })
            }
            TiffCompression::Raw => Self::Raw(data),
            TiffCompression::PackBits => {
                Self::PackBits(PackBits { data: bits, at: 0, run: PackBitsRun::None })
            }
            TiffCompression::Lzw => {
                if let [0, second, ..] = *bits
                    && second & 1 == 1
                {
                    return Err(DecodeError::Unsupported {
                        format: "a TIFF with LZW of before TIFF 5.0",
                    });
                }
                let decoder = weezl::decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
                Self::Lzw { decoder: Box::new(decoder), data: bits, at: 0 }
            }
            TiffCompression::Deflate => {
                Self::Deflate(Box::new(ZlibDecoder::new(std::io::Cursor::new(bits))))
            }
            TiffCompression::Fax(kind) => Self::Fax(fax::FaxRows::new(kind, bits, layout.piece[0])),
            TiffCompression::Jpeg => {
                return Err(DecodeError::corrupt(FORMAT, "a JPEG is not read by rows"));
            }
        })
    }

    /// Fills `row` with the next bytes.
    pub(super) fn next(&mut self, row: &mut [u8]) -> Result<(), DecodeError> {
        let cut = DecodeError::Truncated { format: FORMAT };
        match self {
            Self::Raw(data) => {
                let (first, rest) = data.split_at_checked(row.len()).ok_or(cut)?;
                row.copy_from_slice(first);
                *data = rest;
            }
            Self::Reversed(Reversed { data, at }) => {
                row.copy_from_slice(data.get(*at..*at + row.len()).ok_or(cut)?);
                *at += row.len();
            }
            Self::PackBits(packed) => packed.fill(row).ok_or(cut)?,
            Self::Lzw { decoder, data, at } => {
                let mut filled = 0;
                while filled < row.len() {
                    let result = decoder.decode_bytes(&data[*at..], &mut row[filled..]);
                    *at += result.consumed_in;
                    filled += result.consumed_out;
                    match result.status {
                        Ok(LzwStatus::Ok) if result.consumed_in + result.consumed_out > 0 => {}
                        Ok(LzwStatus::Done) if filled == row.len() => {}
                        Ok(LzwStatus::Ok | LzwStatus::NoProgress | LzwStatus::Done) => {
                            return Err(cut);
                        }
                        Err(error) => return Err(DecodeError::corrupt(FORMAT, error.to_string())),
                    }
                }
            }
            Self::Deflate(stream) => stream.read_exact(row).map_err(|error| {
                if error.kind() == std::io::ErrorKind::UnexpectedEof {
                    cut
                } else {
                    DecodeError::corrupt(FORMAT, error.to_string())
                }
            })?,
            Self::Fax(rows) => rows.next(row)?,
        }
        Ok(())
    }
}

/// TIFF 6.0, section 9.
pub(super) struct PackBits<'a> {
    data: Cow<'a, [u8]>,
    at: usize,
    run: PackBitsRun,
}

/// The rest of a run, because a row may end within it.
enum PackBitsRun {
    None,
    Literal(usize),
    Repeat(u8, usize),
}

impl PackBits<'_> {
    /// `None` if the data is truncated.
    fn fill(&mut self, row: &mut [u8]) -> Option<()> {
        let mut filled = 0;
        while filled < row.len() {
            let left = row.len() - filled;
            match self.run {
                PackBitsRun::Literal(length) => {
                    let now = length.min(left);
                    row[filled..filled + now]
                        .copy_from_slice(self.data.get(self.at..self.at + now)?);
                    self.at += now;
                    filled += now;
                    self.run = if now == length {
                        PackBitsRun::None
                    } else {
                        PackBitsRun::Literal(length - now)
                    };
                }
                PackBitsRun::Repeat(byte, length) => {
                    let now = length.min(left);
                    row[filled..filled + now].fill(byte);
                    filled += now;
                    self.run = if now == length {
                        PackBitsRun::None
                    } else {
                        PackBitsRun::Repeat(byte, length - now)
                    };
                }
                PackBitsRun::None => {
                    let header = self.data.get(self.at)?.cast_signed();
                    self.at += 1;
                    match header {
                        0.. => {
                            self.run = PackBitsRun::Literal(usize::from(header.unsigned_abs()) + 1);
                        }
                        i8::MIN => {}
                        -127..0 => {
                            let byte = *self.data.get(self.at)?;
                            self.at += 1;
                            self.run =
                                PackBitsRun::Repeat(byte, usize::from(header.unsigned_abs()) + 1);
                        }
                    }
                }
            }
        }
        Some(())
    }
}
