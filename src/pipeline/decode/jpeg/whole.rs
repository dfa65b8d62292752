//! Decodes at full size with libjpeg-turbo-rs, whose pixels are bit-identical to those of libjpeg-turbo.
//!
//! It is strict: truncated data and invalid codes are errors. It can be stopped only through its reader, and reads
//! only sequential files with one scan in parts. Others are rewritten as such a file if decoding takes long, which
//! then takes a third longer.

use std::io::Read;
use std::time::Duration;

use image::RgbImage;
use libjpeg_turbo_rs::{
    DecodeLimits, Decoder, JpegError, PixelFormat, decompress_from_reader_incremental,
};

use super::super::error::StoppedRead;
use super::super::{DecodeError, Format, Reduction, Watch};
use super::outline::{MAX_TIME_UNSTOPPED, Outline};
use super::rewrite::Rewritten;
use super::segments::Segments;
use super::{damaged, scans, segments};

/// From this predicted time on, files that can be read in parts are.
const LONG: Duration = Duration::from_millis(25);

/// Decodes a file at full size, without applying the orientation.
///
/// # Errors
///
/// [`DecodeError::Corrupt`] if the data is damaged or truncated; [`DecodeError::Unsupported`] if it is of an
/// unsupported kind; [`DecodeError::Stopped`].
pub(super) fn decode(
    bytes: &[u8],
    outline: &Outline,
    watch: Watch<'_>,
) -> Result<RgbImage, DecodeError> {
    watch.check()?;
    let predicted = outline.decode_time(Reduction::None);
    let pixels = if predicted > LONG && outline.is_a_stream() {
        in_parts(watch.reader(&*without_metadata(bytes)))?
    } else if outline.can_be_rewritten()
        && (predicted > MAX_TIME_UNSTOPPED || outline.must_be_rewritten())
    {
        rewritten(bytes, outline, watch)?
    } else {
        watch.check_time(predicted)?;
        at_once(&without_metadata(bytes), outline)?
    };
    watch.check()?;
    let size = outline.size();
    if [pixels.width, pixels.height] != size.map(|side| side as usize) {
        return Err(damaged("its size changed"));
    }
    let rgb = match (pixels.pixel_format, pixels.data) {
        (PixelFormat::Rgb, data) => data,
        (PixelFormat::Grayscale, data) => data.iter().flat_map(|gray| [*gray; 3]).collect(),
        (PixelFormat::Cmyk, data) => {
            data.as_chunks::<4>().0.iter().copied().flat_map(rgb_of_cmyk).collect()
        }
        _ => return Err(damaged("its colours are of another kind")),
    };
    RgbImage::from_raw(size[0], size[1], rgb).ok_or_else(|| damaged("its size changed"))
}

/// Decodes a sequential file with one scan, which stops when the reader fails.
fn in_parts(reader: impl Read) -> Result<libjpeg_turbo_rs::Image, DecodeError> {
    decompress_from_reader_incremental(reader).map_err(failed)
}

/// Decodes the codes of any file with Huffman codes here, and the rest as a file that can be read in parts.
pub(super) fn rewritten(
    bytes: &[u8],
    outline: &Outline,
    watch: Watch<'_>,
) -> Result<libjpeg_turbo_rs::Image, DecodeError> {
    let planes = scans::read(bytes, &outline.frame, watch)?;
    let rewritten = Rewritten::new(bytes, &outline.frame, planes)
        .ok_or_else(|| damaged("a quantization table is missing"))?;
    in_parts(watch.reader(rewritten))
}

/// Decodes any file, which cannot be stopped.
pub(super) fn at_once(
    lean: &[u8],
    outline: &Outline,
) -> Result<libjpeg_turbo_rs::Image, DecodeError> {
    let limits = DecodeLimits {
        max_width: usize::from(u16::MAX),
        max_height: usize::from(u16::MAX),
        max_scans: outline.scans as usize,
        ..DecodeLimits::default()
    };
    let mut decoder = Decoder::new_with_limits(lean, limits).map_err(failed)?;
    let header = decoder.header();
    if [header.width, header.height].map(u32::from) != outline.size() {
        return Err(damaged("its size changed"));
    }
    decoder.set_output_format(match outline.components() {
        1 => PixelFormat::Grayscale,
        4 => PixelFormat::Cmyk,
        _ => PixelFormat::Rgb,
    });
    // As in libjpeg, if a progressive file does not contain all coefficients.
    decoder.set_block_smoothing(true);
    decoder.decode_image().map_err(failed)
}

/// The file without metadata and bytes between segments, which do not affect pixels, but which the decoder
/// would copy. (It also rejects some of these bytes, such as the marker FF 01.)
pub(super) fn without_metadata(bytes: &[u8]) -> Vec<u8> {
    let mut lean = Vec::with_capacity(bytes.len());
    let mut copied = 0;
    for segment in Segments::new(bytes) {
        lean.extend_from_slice(&bytes[copied..segment.previous_end]);
        copied = if segment.is_metadata() { segment.end } else { segment.start };
        if segment.marker == segments::END_OF_IMAGE {
            lean.extend_from_slice(&bytes[copied..segment.end]);
            break;
        }
    }
    lean
}

fn failed(error: JpegError) -> DecodeError {
    match error {
        JpegError::Io(error) => {
            match error.get_ref().and_then(|cause| cause.downcast_ref::<StoppedRead>()) {
                Some(&StoppedRead(stop)) => DecodeError::Stopped { stop },
                None => DecodeError::corrupt(Format::Jpeg, error.to_string()),
            }
        }
        JpegError::UnexpectedEof => damaged("its data ends before its pixels do"),
        JpegError::Unsupported(_) => {
            DecodeError::Unsupported { format: Format::Jpeg.of_a_rare_kind() }
        }
        JpegError::InvalidMarker(_)
        | JpegError::UnexpectedMarker(_)
        | JpegError::CorruptData(_)
        | JpegError::BufferTooSmall { .. }
        | JpegError::LimitExceeded { .. }
        | JpegError::AllocationFailed { .. }
        | JpegError::InvalidScanScript { .. }
        | JpegError::InvalidCropRegion { .. }
        | _ => DecodeError::corrupt(Format::Jpeg, error.to_string()),
    }
}

/// Converts Adobe's CMYK, which is stored inverted, as Pillow does.
fn rgb_of_cmyk([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    // The stored values are inverted ink.
    let black = u32::from(black);
    [cyan, magenta, yellow].map(|left| {
        let product = u32::from(255 - left) * black + 128;
        let taken = ((product >> 8) + product) >> 8;
        u8::try_from(black.saturating_sub(taken)).unwrap_or(u8::MAX)
    })
}
