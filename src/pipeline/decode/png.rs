//! PNG: selects the chunks that are needed (PNG specification, section 5), and decodes the pixels.

use std::borrow::Cow;
use std::io::{self, Cursor, Read};

use flate2::read::ZlibDecoder;
use image::RgbImage;
use image::metadata::Orientation;
use png::{BitDepth, ColorType, DecodingError, InterlaceInfo, Transformations};

use super::announced::{Announced, RGB_AND_COPY, TABLES};
use super::canvas::Canvas;
use super::{DecodeError, Format, Watch, exif, rgb};

/// The properties of the image, from the chunks before the pixels.
///
/// # Errors
///
/// [`DecodeError`] if they are damaged, or in Apple's own variant of the format.
pub(super) fn announced(bytes: &[u8]) -> Result<Announced, DecodeError> {
    if PngChunks::new(bytes).next().is_some_and(|chunk| &chunk.kind == b"CgBI") {
        return Err(DecodeError::Unsupported { format: "a CgBI PNG, Apple's own variant" });
    }
    let header = header(bytes);
    let mut decoder = png::Decoder::new(Cursor::new(&*header));
    decoder.set_transformations(Transformations::EXPAND);
    let reader = decoder.read_info().map_err(why)?;
    let (info, (color, depth)) = (reader.info(), reader.output_color_type());
    let size = [info.width, info.height];
    // A few rows before and after filtering, and the file without unneeded chunks.
    let row = u64::from(info.width) * 8;
    let overhead = 4 * row + bytes.len() as u64 + 2 * TABLES;
    let passes = if info.interlaced { 2 } else { 1 };
    let name = match color {
        ColorType::Grayscale if info.bit_depth != BitDepth::Sixteen => {
            return Ok(Announced {
                size,
                color: format!("l{}", info.bit_depth as u8),
                per_pixel: RGB_AND_COPY,
                overhead,
                passes,
            });
        }
        ColorType::Grayscale => "l",
        ColorType::GrayscaleAlpha => "la",
        ColorType::Rgb | ColorType::Indexed => "rgb",
        ColorType::Rgba => "rgba",
    };
    Ok(Announced {
        size,
        color: format!("{name}{}", depth as u8),
        per_pixel: RGB_AND_COPY,
        overhead,
        passes,
    })
}

/// Decodes the default image, row by row.
///
/// # Errors
///
/// [`DecodeError`] if it is damaged, or `watch` stops it.
pub(super) fn decode(
    bytes: &[u8],
    size: [u32; 2],
    watch: Watch<'_>,
) -> Result<RgbImage, DecodeError> {
    let needed = essential(bytes);
    let mut decoder = png::Decoder::new(watch.reader(Cursor::new(&*needed)));
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(why)?;
    let channels = reader.output_color_type().0.samples();
    let mut canvas = Canvas::new(size, watch);
    let mut sparse = vec![0; size[0] as usize * 3];
    let mut y = 0;
    while let Some(row) = reader.next_interlaced_row().map_err(why)? {
        match row.interlace() {
            InterlaceInfo::Null(_) => {
                if let Some(to) = canvas.row(y)? {
                    rgb::from_row(row.data(), channels, to);
                }
                y += 1;
            }
            InterlaceInfo::Adam7(place) => {
                let length = row.data().len() / channels * 3;
                rgb::from_row(row.data(), channels, &mut sparse[..length]);
                let (pixels, stride) = canvas.all();
                png::expand_interlaced_row(pixels, stride, &sparse[..length], place, 24);
                canvas.worked(size[0] as usize)?;
            }
        }
    }
    canvas.into_image(Format::Png)
}

/// Converts the decoder's error.
fn why(error: DecodingError) -> DecodeError {
    let format = Format::Png;
    match error {
        DecodingError::IoError(error) => match DecodeError::stop_in(&error) {
            Some(stop) => DecodeError::Stopped { stop },
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                DecodeError::Truncated { format }
            }
            None => DecodeError::corrupt(format, error.to_string()),
        },
        DecodingError::LimitsExceeded => {
            DecodeError::corrupt(format, "decoding it takes more memory than its header says")
        }
        DecodingError::Format(_) | DecodingError::Parameter(_) => {
            DecodeError::corrupt(format, error.to_string())
        }
    }
}

/// Whether there is an IEND chunk.
pub(super) fn has_an_end(bytes: &[u8]) -> bool {
    PngChunks::new(bytes).any(|chunk| &chunk.kind == b"IEND")
}

/// The file without chunks that do not affect the pixels: text, colour profile, later frames.
///
/// A compressed profile of one megabyte can expand to a gigabyte, and the decoder would decompress it
/// together with the header.
pub(super) fn essential(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    kept.extend_from_slice(&bytes[..SIGNATURE]);
    let mut chunks = PngChunks::new(bytes);
    for chunk in chunks.by_ref().filter(PngChunk::is_needed) {
        kept.extend_from_slice(chunk.whole);
    }
    // An incomplete chunk is left to the decoder.
    kept.extend_from_slice(chunks.rest);
    kept
}

/// The file up to its pixels, without chunks that do not affect them.
pub(super) fn header(bytes: &[u8]) -> Vec<u8> {
    let mut kept = bytes[..SIGNATURE].to_vec();
    let mut chunks = PngChunks::new(bytes);
    for chunk in chunks.by_ref().filter(PngChunk::is_needed) {
        // The decoder stops at the first chunk of pixels: its length and type are enough.
        if &chunk.kind == b"IDAT" {
            kept.extend_from_slice(&chunk.whole[..LENGTH_AND_KIND]);
            return kept;
        }
        kept.extend_from_slice(chunk.whole);
    }
    kept.extend_from_slice(&chunks.rest[..chunks.rest.len().min(LENGTH_AND_KIND)]);
    kept
}

/// The orientation in its EXIF chunk, which may be before or after the pixels; otherwise in the EXIF block that
/// older programs write as text, or in its XMP packet.
pub(super) fn orientation(bytes: &[u8]) -> Orientation {
    let block = PngChunks::new(bytes).find(|chunk| &chunk.kind == b"eXIf");
    let block = block.map(|chunk| Cow::Borrowed(chunk.body()));
    block
        .or_else(|| PngChunks::new(bytes).find_map(|chunk| exif_in_text(&chunk)).map(Cow::Owned))
        .and_then(|block| exif::orientation(&block))
        .or_else(|| {
            PngChunks::new(bytes)
                .filter(|chunk| &chunk.kind == b"iTXt" && chunk.body().starts_with(XMP))
                .find_map(|chunk| exif::orientation_in_xmp(chunk.body()))
        })
        .unwrap_or(Orientation::NoTransforms)
}

/// The beginning of an EXIF block in a text chunk of `ImageMagick`: an empty line, a name and a length, and
/// hexadecimal digits. Not more is decompressed, because the orientation is in the first directory.
fn exif_in_text(chunk: &PngChunk<'_>) -> Option<Vec<u8>> {
    const KEYWORD: &[u8] = b"Raw profile type exif\0";
    const MAX_TEXT: u64 = 16 << 10;
    let mut text = Vec::new();
    match &chunk.kind {
        b"tEXt" => chunk.body().strip_prefix(KEYWORD)?.take(MAX_TEXT).read_to_end(&mut text),
        b"zTXt" => {
            let compressed = chunk.body().strip_prefix(KEYWORD)?.strip_prefix(&[0])?;
            ZlibDecoder::new(compressed).take(MAX_TEXT).read_to_end(&mut text)
        }
        _ => return None,
    }
    .ok()?;
    let digits = text.splitn(4, |&byte| byte == b'\n').nth(3)?;
    let digits: Vec<u8> = digits
        .iter()
        .filter_map(|&digit| char::from(digit).to_digit(16))
        .filter_map(|digit| u8::try_from(digit).ok())
        .collect();
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// The keyword of a text chunk with an XMP packet, and the flag for uncompressed text.
const XMP: &[u8] = b"XML:com.adobe.xmp\0\0";

/// Bytes before the first chunk.
const SIGNATURE: usize = 8;

/// Bytes of a chunk before its body, and after.
const LENGTH_AND_KIND: usize = 8;
const CHECKSUM: usize = 4;

struct PngChunk<'a> {
    kind: [u8; 4],
    whole: &'a [u8],
}

impl<'a> PngChunk<'a> {
    fn body(&self) -> &'a [u8] {
        &self.whole[LENGTH_AND_KIND..self.whole.len() - CHECKSUM]
    }

    /// Critical chunks have a capital first letter. Of the others, only transparency affects the pixels.
    fn is_needed(&self) -> bool {
        self.kind[0].is_ascii_uppercase() || &self.kind == b"tRNS"
    }
}

/// Iterates over chunks up to the first incomplete one.
struct PngChunks<'a> {
    rest: &'a [u8],
}

impl<'a> PngChunks<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(SIGNATURE..).unwrap_or_default() }
    }
}

impl<'a> Iterator for PngChunks<'a> {
    type Item = PngChunk<'a>;

    fn next(&mut self) -> Option<PngChunk<'a>> {
        let &[a, b, c, d, kind @ ..] = self.rest.first_chunk::<LENGTH_AND_KIND>()?;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let (whole, rest) =
            self.rest.split_at_checked(length.saturating_add(LENGTH_AND_KIND + CHECKSUM))?;
        self.rest = rest;
        Some(PngChunk { kind, whole })
    }
}
