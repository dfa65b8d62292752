//! Decodes with libjpeg-turbo-rs, whose pixels are bit-identical to those of libjpeg-turbo.
//!
//! It is strict: truncated data and invalid codes are errors. It can be stopped only through its reader, so
//! large files with one scan are read through one. Others are not started if their predicted time exceeds the
//! time left.

use image::RgbImage;
use libjpeg_turbo_rs::{
    DecodeLimits, Decoder, JpegError, PixelFormat, ScalingFactor,
    decompress_from_reader_incremental,
};

use super::super::watch::StoppedRead;
use super::super::{DecodeError, Format, Reduction, Watch, limits};
use super::outline::Outline;
use super::segments::Segments;
use super::{damaged, segments};

/// From this number of pixels on, decoding takes so long that it must be possible to stop it.
const LARGE: u64 = 2_000_000;

/// Decodes a file at the size of `reduction`, without applying the orientation.
///
/// # Errors
///
/// [`DecodeError::Corrupt`] if the data is damaged or truncated; [`DecodeError::Unsupported`] if it is of an
/// unsupported kind; [`DecodeError::Stopped`].
pub(super) fn decode(
    bytes: &[u8],
    outline: &Outline,
    reduction: Reduction,
    watch: Watch<'_>,
) -> Result<RgbImage, DecodeError> {
    watch.check()?;
    let lean = without_metadata(bytes);
    let is_large = limits::pixels(outline.size()) >= LARGE;
    let pixels = if is_large && reduction == Reduction::None && outline.is_a_stream() {
        let reader = watch.reader(&*lean);
        decompress_from_reader_incremental(reader).map_err(failed)?
    } else {
        watch.check_time(outline.decode_time(Reduction::None))?;
        at_once(&lean, outline, reduction)?
    };
    watch.check()?;
    let size = outline.size().map(|side| reduction.side(side));
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

fn at_once(
    lean: &[u8],
    outline: &Outline,
    reduction: Reduction,
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
    decoder.set_scale(ScalingFactor::try_new(1, reduction.divisor()).map_err(failed)?);
    decoder.decode_image().map_err(failed)
}

/// The file without metadata and bytes between segments, which do not affect pixels, but which the decoder
/// would copy. (It also rejects some of these bytes, such as the marker FF 01.)
fn without_metadata(bytes: &[u8]) -> Vec<u8> {
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
