//! The layout of an image's pixels in its file, and checks for unsupported kinds.

use super::super::DecodeError;
use super::super::limits::padded_pixels;
use super::FORMAT;
use super::directory::{BadTag, Directory, MAX_NUMBERS};

/// The first image of a file. All its strips or tiles are inside the file, and not larger than the image
/// needs.
#[expect(clippy::struct_excessive_bools, reason = "tags that are yes or no")]
pub(super) struct Layout<'a> {
    /// Columns and rows.
    pub(super) size: [u32; 2],
    /// Bits per channel: 1, 2, 4, 8, 12 or 16.
    pub(super) bits: u8,
    /// Number of channels, including ignored ones.
    pub(super) channels: usize,
    pub(super) colors: Colors,
    pub(super) alpha: Alpha,
    pub(super) coding: TiffCompression,
    /// Whether the lowest bit of a byte comes first.
    pub(super) lowest_bit_first: bool,
    /// Whether channels are differences from the previous pixel.
    pub(super) differences: bool,
    pub(super) little_endian: bool,
    /// Whether each channel has separate strips or tiles.
    pub(super) planar: bool,
    /// Columns and rows of a piece (a strip or tile).
    pub(super) piece: [u32; 2],
    /// The pieces, row by row, and plane by plane.
    pub(super) pieces: Vec<&'a [u8]>,
    /// The tables that all JPEGs share.
    pub(super) jpeg_tables: &'a [u8],
}

/// The meaning of the channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Colors {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    /// Red, green and blue of each palette index.
    Palette(Vec<[u8; 3]>),
    Cmyk,
    /// Only inside JPEG.
    YCbCr,
}

impl Colors {
    /// Number of channels of a colour.
    pub(super) fn channels(&self) -> usize {
        match self {
            Self::WhiteIsZero | Self::BlackIsZero | Self::Palette(_) => 1,
            Self::Rgb | Self::YCbCr => 3,
            Self::Cmyk => 4,
        }
    }
}

/// The meaning of the first channel after the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    /// There is none, or it is ignored.
    None,
    /// Premultiplied alpha.
    Associated,
    Unassociated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TiffCompression {
    Raw,
    PackBits,
    Lzw,
    Deflate,
    Jpeg,
    Fax(Fax),
}

/// CCITT fax codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fax {
    /// Runs; each row begins at a byte.
    Runs,
    /// T.4.
    Group3(Group3Rows),
    /// T.6.
    Group4,
}

/// The coding of rows in T.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group3Rows {
    /// One-dimensional: all rows are runs.
    Runs,
    /// Two-dimensional: a tag bit after each end-of-line code says whether the next row is runs, or
    /// differences from the row above.
    Tagged,
}

/// Maximum number of channels.
const MAX_CHANNELS: u64 = 16;

impl<'a> Layout<'a> {
    /// # Errors
    ///
    /// [`DecodeError`] if a tag is invalid, the file is truncated, or the image is of an unsupported kind.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let directory = Directory::first(bytes).ok_or(DecodeError::Truncated { format: FORMAT })?;
        let tags = Tags { directory: &directory };
        let size = [tags.side(256)?, tags.side(257)?];
        let channels = tags.number(277, 1)?;
        let coding = coding(&tags)?;
        if channels == 0 || channels > MAX_CHANNELS {
            return Err(unserved("a TIFF with more than 16 channels"));
        }
        let bits = bits(&tags, coding)?;
        let colors = colors(&tags, coding, bits)?;
        let channels = usize::try_from(channels).unwrap_or(usize::MAX);
        if channels < colors.channels() {
            return Err(damaged("it has fewer channels than its colours need"));
        }
        let planar = tags.number(284, 1)? == 2 && channels > 1;
        if planar && coding == TiffCompression::Jpeg {
            return Err(unserved("a TIFF with a JPEG for each channel"));
        }
        let (piece, pieces) = pieces(&tags, bytes, size, if planar { channels } else { 1 })?;
        let differences = match tags.number(317, 1)? {
            1 => false,
            2 if matches!(coding, TiffCompression::Lzw | TiffCompression::Deflate) => match bits {
                8 | 16 => true,
                _ => {
                    return Err(unserved("a TIFF with differences of channels that are not bytes"));
                }
            },
            // libtiff, too, uses it only with these codings.
            _ if matches!(coding, TiffCompression::Lzw | TiffCompression::Deflate) => {
                return Err(unserved("a TIFF with a predictor of floating point numbers"));
            }
            _ => false,
        };
        Ok(Self {
            size,
            bits,
            channels,
            alpha: alpha(&tags, &colors, channels)?,
            colors,
            coding,
            lowest_bit_first: tags.number(266, 1)? == 2,
            differences,
            little_endian: directory.little_endian,
            planar,
            piece,
            pieces,
            jpeg_tables: tags.directory.bytes(347).map_err(why)?.unwrap_or_default(),
        })
    }

    /// Number of channels that the pixels depend on, which come first.
    pub(super) fn needed_channels(&self) -> usize {
        self.colors.channels() + usize::from(self.alpha != Alpha::None)
    }

    /// Number of pieces in a row of pieces.
    pub(super) fn across(&self) -> usize {
        self.size[0].div_ceil(self.piece[0]) as usize
    }

    /// Number of pieces of a plane.
    pub(super) fn in_a_plane(&self) -> usize {
        self.across() * self.size[1].div_ceil(self.piece[1]) as usize
    }
}

/// The tags, with defaults for missing ones.
struct Tags<'d, 'a> {
    directory: &'d Directory<'a>,
}

impl Tags<'_, '_> {
    fn list(&self, tag: u64) -> Result<Option<Vec<u64>>, DecodeError> {
        self.directory.numbers(tag).map_err(why)
    }

    fn number(&self, tag: u64, default: u64) -> Result<u64, DecodeError> {
        Ok(self.list(tag)?.and_then(|list| list.first().copied()).unwrap_or(default))
    }

    /// A side of the image, which is required.
    fn side(&self, tag: u64) -> Result<u32, DecodeError> {
        match u32::try_from(self.number(tag, 0)?) {
            Ok(side) if side > 0 => Ok(side),
            _ => Err(damaged("it has no size")),
        }
    }
}

fn coding(tags: &Tags<'_, '_>) -> Result<TiffCompression, DecodeError> {
    Ok(match tags.number(259, 1)? {
        1 => TiffCompression::Raw,
        2 => TiffCompression::Fax(Fax::Runs),
        3 => TiffCompression::Fax(Fax::Group3(match tags.number(292, 0)? & 1 {
            0 => Group3Rows::Runs,
            _ => Group3Rows::Tagged,
        })),
        4 => TiffCompression::Fax(Fax::Group4),
        5 => TiffCompression::Lzw,
        6 => return Err(unserved("a TIFF with JPEG of the old kind (compression 6)")),
        7 => TiffCompression::Jpeg,
        8 | 32946 => TiffCompression::Deflate,
        32773 => TiffCompression::PackBits,
        34712 => return Err(unserved("a TIFF with JPEG 2000 inside")),
        34887 => return Err(unserved("a TIFF with LERC compression")),
        34925 => return Err(unserved("a TIFF with LZMA compression")),
        50000 => return Err(unserved("a TIFF with Zstandard compression")),
        50001 => return Err(unserved("a TIFF with WebP inside")),
        _ => return Err(unserved("a TIFF with a rare compression")),
    })
}

fn bits(tags: &Tags<'_, '_>, coding: TiffCompression) -> Result<u8, DecodeError> {
    let list = tags.list(258)?.unwrap_or_default();
    let bits = list.first().copied().unwrap_or(1);
    if list.iter().any(|&other| other != bits) {
        return Err(unserved("a TIFF whose channels have different numbers of bits"));
    }
    if tags.number(339, 1)? == 3 {
        return Err(unserved("a TIFF of floating point pixels"));
    }
    // Signed 8-bit numbers are read as unsigned ones, as in Pillow.
    if tags.number(339, 1)? == 2 && bits != 8 {
        return Err(unserved("a TIFF of signed pixels"));
    }
    match (bits, coding) {
        (8, TiffCompression::Jpeg)
        | (1, TiffCompression::Fax(_))
        | (
            1 | 2 | 4 | 8 | 12 | 16,
            TiffCompression::Raw
            | TiffCompression::PackBits
            | TiffCompression::Lzw
            | TiffCompression::Deflate,
        ) => {}
        (_, TiffCompression::Jpeg) => {
            return Err(unserved("a TIFF with JPEG of more than 8 bits a channel"));
        }
        (_, TiffCompression::Fax(_)) => {
            return Err(damaged("only black and white can be coded as a fax"));
        }
        (32, _) => return Err(unserved("a TIFF with 32 bits a channel")),
        _ => return Err(unserved("a TIFF with a rare number of bits a channel")),
    }
    Ok(u8::try_from(bits).unwrap_or(u8::MAX))
}

fn colors(tags: &Tags<'_, '_>, coding: TiffCompression, bits: u8) -> Result<Colors, DecodeError> {
    let guess = u64::from(!matches!(coding, TiffCompression::Fax(_)));
    let colors = match tags.number(262, guess)? {
        0 => Colors::WhiteIsZero,
        1 => Colors::BlackIsZero,
        2 => Colors::Rgb,
        3 if bits <= 8 => Colors::Palette(palette(tags, bits)?),
        3 => return Err(unserved("a TIFF with a palette of more than 256 colours")),
        4 => return Err(unserved("a TIFF that is a mask for another image")),
        5 if coding == TiffCompression::Jpeg => return Err(unserved("a TIFF with JPEG in CMYK")),
        5 if tags.number(332, 1)? == 1 => Colors::Cmyk,
        5 => return Err(unserved("a TIFF with inks other than CMYK")),
        6 if coding == TiffCompression::Jpeg => Colors::YCbCr,
        6 => return Err(unserved("a TIFF in YCbCr that is not coded as JPEG")),
        8..=10 => return Err(unserved("a TIFF in CIE L*a*b*")),
        32803 | 34892 => return Err(unserved("a raw photo of a camera")),
        _ => return Err(unserved("a TIFF in rare colours")),
    };
    if coding == TiffCompression::Jpeg && matches!(colors, Colors::Palette(_)) {
        return Err(damaged("numbers of colours cannot be coded as JPEG"));
    }
    Ok(colors)
}

/// The palette: all reds, all greens and all blues, of 16 bits each. Some writers use only the lower 8 bits.
fn palette(tags: &Tags<'_, '_>, bits: u8) -> Result<Vec<[u8; 3]>, DecodeError> {
    let list = tags.list(320)?.ok_or_else(|| damaged("it has no palette"))?;
    let colors = 1_usize << bits;
    let channel = |channel: usize, number: usize| {
        let value = list.get(channel * colors + number).copied().unwrap_or(0);
        u8::try_from(value >> 8 & 0xFF).unwrap_or(u8::MAX)
    };
    Ok((0..colors).map(|number| [0, 1, 2].map(|of| channel(of, number))).collect())
}

fn alpha(tags: &Tags<'_, '_>, colors: &Colors, channels: usize) -> Result<Alpha, DecodeError> {
    if channels <= colors.channels() || *colors == Colors::Cmyk {
        return Ok(Alpha::None);
    }
    Ok(match tags.list(338)?.and_then(|list| list.first().copied()) {
        Some(1) => Alpha::Associated,
        Some(2) => Alpha::Unassociated,
        // An unspecified channel is treated as alpha, as in Pillow.
        None if *colors == Colors::Rgb && channels == 4 => Alpha::Unassociated,
        Some(_) | None => Alpha::None,
    })
}

/// Size and bytes of the strips or tiles.
fn pieces<'a>(
    tags: &Tags<'_, '_>,
    bytes: &'a [u8],
    size: [u32; 2],
    planes: usize,
) -> Result<([u32; 2], Vec<&'a [u8]>), DecodeError> {
    let tiled = tags.list(322)?.is_some();
    let piece = if tiled {
        [tags.side(322)?, tags.side(323)?]
    } else {
        let rows = tags.number(278, size[1].into())?.min(size[1].into());
        [size[0], u32::try_from(rows).unwrap_or(size[1]).max(1)]
    };
    let counts = [0, 1].map(|side| u64::from(size[side].div_ceil(piece[side])));
    let whole = counts.map(u64::from);
    let pixels = [0, 1].map(|side| whole[side] * u64::from(piece[side]));
    // Tiles may extend slightly beyond the image; strips may not.
    if tiled && pixels[0].saturating_mul(pixels[1]) > 4 * padded_pixels(size) + (1 << 22) {
        return Err(damaged("its tiles are far larger than the image"));
    }
    let needed = counts[0].saturating_mul(counts[1]).saturating_mul(planes as u64);
    if needed > MAX_NUMBERS {
        return Err(unserved("a TIFF in more than 131,072 pieces"));
    }
    let needed = usize::try_from(needed).unwrap_or(usize::MAX);
    let (offsets, lengths) =
        if tiled && tags.list(324)?.is_some() { (324, 325) } else { (273, 279) };
    let offsets =
        tags.list(offsets)?.ok_or_else(|| damaged("it does not say where its pixels are"))?;
    let lengths = tags.list(lengths)?.unwrap_or_default();
    if offsets.len() < needed {
        return Err(damaged("some of its pieces are missing"));
    }
    let piece_at = |index: usize| {
        let start = usize::try_from(offsets[index]).unwrap_or(usize::MAX);
        let rest = bytes.get(start..).unwrap_or_default();
        let length = lengths.get(index).copied().filter(|&length| length > 0);
        let length =
            length.map_or(rest.len(), |length| usize::try_from(length).unwrap_or(usize::MAX));
        &rest[..length.min(rest.len())]
    };
    let pieces: Vec<&[u8]> = (0..needed).map(piece_at).collect();
    // Blank pieces are sometimes stored once, but a file in which all pieces share their bytes is rejected.
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    if total > MAX_USES * bytes.len() {
        return Err(damaged("its pieces overlap"));
    }
    Ok((piece, pieces))
}

/// Maximum number of times that the bytes of a file may be used by pieces, on average.
const MAX_USES: usize = 8;

fn why(problem: BadTag) -> DecodeError {
    match problem {
        BadTag::Cut => DecodeError::Truncated { format: FORMAT },
        BadTag::TooMany => damaged("its tags announce more than the file holds"),
        BadTag::WrongKind => damaged("a tag has a value of the wrong kind"),
    }
}

fn damaged(cause: &str) -> DecodeError {
    DecodeError::corrupt(FORMAT, cause)
}

fn unserved(format: &'static str) -> DecodeError {
    DecodeError::Unsupported { format }
}
