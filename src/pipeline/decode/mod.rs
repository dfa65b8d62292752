//! Bytes become an upright RGB image: tell the format, check the header, decode, orient, flatten.
//!
//! [`inspect`] reads only the header, so that what decoding would cost is known before it is spent.

mod complete; // is the file all there
mod error;
mod facts; // how it is stored
mod format; // which format, by content
mod gif;
mod jpeg;
mod limits; // refused from the header
mod png;
mod rgb; // any pixels → RGB on white
mod tiff;
mod webp;

use std::borrow::Cow;
use std::fmt;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader};

pub use error::DecodeError;
pub use facts::{Stored, stored};
pub use format::Format;
pub use limits::Limits;

/// What the header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The format that the content shows.
    pub format: Format,
    /// Columns as stored, before orientation.
    pub width: u32,
    /// Rows as stored, before orientation.
    pub height: u32,
    bytes_per_pixel: u8,
    upload_bytes: usize,
}

impl Header {
    /// The most that decoding will hold at once beside the upload, in bytes.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        let pixels = limits::padded_pixels([self.width, self.height]);
        limits::working_bytes(pixels, self.bytes_per_pixel.into(), self.upload_bytes as u64)
    }
}

/// An upright RGB image, uint8 `[height, width, 3]`, at least 1×1. Only [`decode`] makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Image(image::RgbImage);

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}x{})", self.width(), self.height())
    }
}

impl Image {
    /// Columns.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.0.width()
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.0.height()
    }

    /// All pixels, row after row.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        self.0.as_raw()
    }

    /// All pixels, to be changed: no image any more.
    #[must_use]
    pub fn into_rgb(self) -> Vec<u8> {
        self.0.into_raw()
    }
}

/// Tells the format from the content and reads the header, in microseconds for most formats.
///
/// # Errors
///
/// [`DecodeError`] where it is no image that is served, or one over a limit.
pub fn inspect(bytes: &[u8], limits: &Limits) -> Result<Header, DecodeError> {
    if bytes.len() > limits.max_bytes {
        return Err(DecodeError::TooManyBytes { bytes: bytes.len(), limit: limits.max_bytes });
    }
    let format = format::sniff(bytes)?;
    guarded(format, || {
        if format == Format::Tiff && !tiff::tags_are_modest(bytes) {
            return Err(DecodeError::corrupt(format, "its tags announce more than the file holds"));
        }
        let head = match format {
            Format::Png => Cow::Owned(png::header(bytes)),
            Format::WebP => Cow::Borrowed(webp::whole(bytes).unwrap_or(bytes)),
            Format::Jpeg => Cow::Borrowed(jpeg::header(bytes)),
            Format::Gif | Format::Bmp | Format::Tiff => Cow::Borrowed(bytes),
        };
        let decoder = open(&head, format).map_err(|error| why_unreadable(bytes, format, error))?;
        let ((width, height), color) = (decoder.dimensions(), decoder.color_type());
        limits.check(format, [width, height], color)?;
        let (bytes_per_pixel, upload_bytes) = (color.bytes_per_pixel(), bytes.len());
        Ok(Header { format, width, height, bytes_per_pixel, upload_bytes })
    })
}

/// A header that cannot be read may not be all there, or be of a kind that is not served.
fn why_unreadable(bytes: &[u8], format: Format, error: DecodeError) -> DecodeError {
    let rare = if format == Format::Jpeg { jpeg::unserved_kind(bytes) } else { None };
    match rare {
        Some(format) => DecodeError::Unsupported { format },
        None if complete::is_cut_off(bytes, format) => DecodeError::Truncated { format },
        None => error,
    }
}

/// Decodes what `header` announced: the first frame, upright, transparency over white.
///
/// # Errors
///
/// [`DecodeError::Truncated`] where the file ends too early (half a picture is never answered), and
/// [`DecodeError::Corrupt`] where it is damaged inside.
pub fn decode(bytes: &[u8], header: &Header) -> Result<Image, DecodeError> {
    let format = header.format;
    if complete::is_cut_off(bytes, format) {
        return Err(DecodeError::Truncated { format });
    }
    guarded(format, || {
        let needed = needed(bytes, header)?;
        let mut decoder = open(&needed, format)?;
        let mut limits = image::Limits::no_limits();
        limits.max_alloc = Some(header.decoded_bytes());
        let failed = |error| DecodeError::from_image(format, error);
        decoder.set_limits(limits).map_err(failed)?;
        // A damaged EXIF block spoils the orientation, not the picture.
        let orientation = match format {
            Format::Png => png::orientation(bytes),
            Format::Jpeg | Format::WebP | Format::Gif | Format::Bmp | Format::Tiff => {
                decoder.orientation().unwrap_or(Orientation::NoTransforms)
            }
        };
        let picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
        let mut upright = DynamicImage::ImageRgb8(rgb::flatten(picture));
        upright.apply_orientation(orientation);
        Ok(Image(upright.into_rgb8()))
    })
}

/// What of the file the decoder is given: nothing that would cost more than its header says.
fn needed<'a>(bytes: &'a [u8], header: &Header) -> Result<Cow<'a, [u8]>, DecodeError> {
    let format = header.format;
    match format {
        Format::Png => Ok(Cow::Owned(png::essential(bytes))),
        Format::WebP => webp::whole(bytes)
            .filter(|whole| webp::is_sound(whole, [header.width, header.height]))
            .map(Cow::Borrowed)
            .ok_or_else(|| DecodeError::corrupt(format, "a part announces more than there is")),
        Format::Jpeg | Format::Gif | Format::Bmp | Format::Tiff => Ok(Cow::Borrowed(bytes)),
    }
}

fn open(bytes: &[u8], format: Format) -> Result<impl ImageDecoder + '_, DecodeError> {
    ImageReader::with_format(Cursor::new(bytes), format.known())
        .into_decoder()
        .map_err(|error| DecodeError::from_image(format, error))
}

/// Decoders meet hostile bytes: one that panics has met a corrupt image, no more.
fn guarded<T>(
    format: Format,
    work: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(DecodeError::corrupt(format, "its decoder gave up")))
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
