//! libwebp's incremental decoder. It gets the file in parts, so that decoding can be stopped between them.

use std::ptr::NonNull;

use libwebp_sys::{
    VP8StatusCode, WEBP_CSP_MODE, WebPIDecoder, WebPIDelete, WebPINewRGB, WebPIUpdate,
};

use super::super::{DecodeError, Watch};
use super::FORMAT;

/// Average number of pixels in a part of the file.
const PIXELS_A_PIECE: usize = 1 << 18;

/// A file with one image, and the output format.
pub(super) struct Work<'a> {
    pub(super) file: &'a [u8],
    /// Bytes before the first pixel, which are passed at once.
    pub(super) head: usize,
    /// Columns and rows.
    pub(super) size: [u32; 2],
    /// 3 for RGB, 4 for RGBA.
    pub(super) channels: usize,
}

/// Decodes the image to rows of pixels without padding.
///
/// # Errors
///
/// [`DecodeError`] if it is damaged, or `watch` stops it.
pub(super) fn decode(work: &Work<'_>, watch: Watch<'_>) -> Result<Vec<u8>, DecodeError> {
    let &Work { file, head, size: [width, height], channels } = work;
    let pixels = width as usize * height as usize;
    let mut decoder = Decoder::new(width as usize, vec![0; pixels * channels], channels)?;
    let pieces = (pixels / PIXELS_A_PIECE).max(1);
    let step = file.len().saturating_sub(head).div_ceil(pieces).max(1);
    let mut end = head.saturating_add(step).min(file.len());
    loop {
        watch.check()?;
        match decoder.decode_up_to(&file[..end]) {
            VP8StatusCode::VP8_STATUS_OK => return Ok(decoder.into_pixels()),
            VP8StatusCode::VP8_STATUS_SUSPENDED if end < file.len() => {
                end = end.saturating_add(step).min(file.len());
            }
            VP8StatusCode::VP8_STATUS_SUSPENDED | VP8StatusCode::VP8_STATUS_NOT_ENOUGH_DATA => {
                return Err(DecodeError::Truncated { format: FORMAT });
            }
            VP8StatusCode::VP8_STATUS_UNSUPPORTED_FEATURE => {
                return Err(DecodeError::Unsupported { format: FORMAT.of_a_rare_kind() });
            }
            VP8StatusCode::VP8_STATUS_OUT_OF_MEMORY
            | VP8StatusCode::VP8_STATUS_INVALID_PARAM
            | VP8StatusCode::VP8_STATUS_BITSTREAM_ERROR
            | VP8StatusCode::VP8_STATUS_USER_ABORT => {
                return Err(DecodeError::corrupt(FORMAT, "its data is not as its headers say"));
            }
        }
    }
}

/// libwebp's decoder, and the buffer that it writes to.
struct Decoder {
    decoder: NonNull<WebPIDecoder>,
    pixels: Vec<u8>,
}

impl Decoder {
    #[expect(unsafe_code, reason = "libwebp is a C library")]
    fn new(width: usize, mut pixels: Vec<u8>, channels: usize) -> Result<Self, DecodeError> {
        let mode = if channels == 4 { WEBP_CSP_MODE::MODE_RGBA } else { WEBP_CSP_MODE::MODE_RGB };
        let failed = || DecodeError::corrupt(FORMAT, "there is no memory to decode it");
        let stride = i32::try_from(width * channels).map_err(|_| failed())?;
        // SAFETY: the buffer has the given length, is neither moved nor freed before the decoder (moving a
        // `Vec` does not move its bytes), and is not accessed elsewhere.
        let decoder = unsafe { WebPINewRGB(mode, pixels.as_mut_ptr(), pixels.len(), stride) };
        Ok(Self { decoder: NonNull::new(decoder).ok_or_else(failed)?, pixels })
    }

    /// Continues with the file up to the end of `data`, which is longer at each call.
    #[expect(unsafe_code, reason = "libwebp is a C library")]
    fn decode_up_to(&mut self, data: &[u8]) -> VP8StatusCode {
        // SAFETY: the decoder is alive; it reads `data` only during the call, and keeps only its offset for
        // the next call.
        unsafe { WebPIUpdate(self.decoder.as_ptr(), data.as_ptr(), data.len()) }
    }

    fn into_pixels(mut self) -> Vec<u8> {
        std::mem::take(&mut self.pixels)
    }
}

impl Drop for Decoder {
    #[expect(unsafe_code, reason = "libwebp is a C library")]
    fn drop(&mut self) {
        // SAFETY: it is deleted once, and does not access the pixels afterwards.
        unsafe { WebPIDelete(self.decoder.as_ptr()) };
    }
}
