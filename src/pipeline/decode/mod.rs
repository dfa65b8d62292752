//! Decodes a file to an upright RGB image: detects the format, checks the header, decodes, rotates,
//! composites.
//!
//! [`inspect`] reads only the header, so that the cost of decoding is known in advance.

mod announced; // facts and costs from the header
mod bmp;
mod canvas; // RGB, row by row
mod truncated; // whether the file is truncated
mod cost; // predicted decode time
mod error;
mod exif; // orientation
mod stored; // size, orientation, colours
mod format; // the supported formats
mod detect; // detects the format
mod formats; // accepted formats
mod gif;
mod jpeg;
mod limits; // limits checked on the header
mod png;
mod reduction; // scale of the decoded image
mod rgb; // any pixels → RGB on white
mod tiff;
mod watch; // cancellation
mod webp;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use announced::Announced;
pub use error::{DecodeError, Stop};
pub use format::Format;
pub use formats::Formats;
#[cfg(fuzzing)]
pub use jpeg::both_ways as jpeg_both_ways;
pub use limits::Limits;
pub use reduction::Reduction;
pub use stored::{Stored, stored};
pub use watch::Watch;

/// The content of a file's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The format, detected from the content.
    pub format: Format,
    /// Columns as stored, before orientation.
    pub width: u32,
    /// Rows as stored, before orientation.
    pub height: u32,
    per_pixel: u8,
    /// Memory of decoding in addition to the pixels, in bytes.
    overhead: u64,
    passes: u32,
    /// The outline of a JPEG.
    jpeg: Option<jpeg::Outline>,
    reduction: Reduction,
}

impl Header {
    /// Requests decoding at size `reduction`, or at full size if the coding does not allow it.
    #[must_use]
    pub fn reduced(self, reduction: Reduction) -> Self {
        let largest_scaled_size = self.jpeg.and_then(|jpeg| jpeg.largest_scaled_size);
        let allowed = largest_scaled_size.is_some_and(|largest_scaled_size| {
            largest_scaled_size.divisor() <= reduction.divisor()
        });
        Self { reduction: if allowed { reduction } else { Reduction::None }, ..self }
    }

    /// The scale at which the image will be decoded.
    #[must_use]
    pub fn reduction(&self) -> Reduction {
        self.reduction
    }

    /// Number of passes of the decoder over all pixels: the scans of a JPEG, or the passes of an interlaced
    /// PNG.
    #[must_use]
    pub fn scans(&self) -> u32 {
        self.passes
    }

    /// Maximum memory of decoding in addition to the upload, in bytes.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        let size = [self.width, self.height].map(|side| self.reduction.side(side));
        let pixels = limits::padded_pixels(size);
        let usual = pixels.saturating_mul(self.per_pixel.into()).saturating_add(self.overhead);
        let Some(jpeg) = self.jpeg else { return usual };
        let working = jpeg.working_bytes(self.reduction);
        match self.reduction {
            Reduction::None => usual.max(self.overhead.saturating_add(working)),
            Reduction::Half | Reduction::Quarter | Reduction::Eighth => {
                usual.saturating_add(working)
            }
        }
    }
}

/// An upright RGB image, uint8 `[height, width, 3]`, at least 1×1. Only [`decode`] creates it.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    pixels: RgbImage,
    full: FullSize,
}

/// The full-size image of a reduced one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FullSize {
    /// Height and width, upright.
    size: [u32; 2],
    reduction: Reduction,
    /// Padding before the first row and the first column, in pixels of the full-size image. A reduced image
    /// has padding on the right and at the bottom, which the orientation can move.
    before: [u32; 2],
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}x{})", self.width(), self.height())
    }
}

impl Image {
    /// Columns.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.pixels.width()
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.pixels.height()
    }

    /// Height and width of the full-size image, from which this one may be reduced.
    #[must_use]
    pub fn full_size(&self) -> [u32; 2] {
        self.full.size
    }

    /// Converts `[first, length]` of rows and of columns from pixels of the full-size image to pixels of this
    /// image.
    #[must_use]
    pub fn place(&self, rows: [f64; 2], columns: [f64; 2]) -> [[f64; 2]; 2] {
        let divisor = f64::from(self.full.reduction.divisor());
        let [above, left] = self.full.before.map(f64::from);
        [
            [(rows[0] + above) / divisor, rows[1] / divisor],
            [(columns[0] + left) / divisor, columns[1] / divisor],
        ]
    }

    /// All pixels, row after row.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        self.pixels.as_raw()
    }

    /// The pixels as a buffer that can be changed.
    #[must_use]
    pub fn into_rgb(self) -> Vec<u8> {
        self.pixels.into_raw()
    }
}

/// Detects the format from the content and reads the header, in microseconds for most formats.
///
/// # Errors
///
/// [`DecodeError`] if it is not a supported image, or exceeds a limit.
pub fn inspect(bytes: &[u8], limits: &Limits) -> Result<Header, DecodeError> {
    if bytes.len() > limits.max_bytes {
        return Err(DecodeError::TooManyBytes { bytes: bytes.len(), limit: limits.max_bytes });
    }
    let enabled = limits.formats;
    let format = detect::sniff(bytes).map_err(|error| {
        if let DecodeError::Unsupported { format } = error
            && enabled != Formats::ALL
        {
            // The formats that this server accepts, instead of all that can be decoded.
            return DecodeError::Disabled { format: format.to_owned(), enabled };
        }
        error
    })?;
    if !enabled.contain(format) {
        return Err(DecodeError::Disabled { format: format.to_string(), enabled });
    }
    guarded(format, || {
        let is_jpeg = format == Format::Jpeg;
        let jpeg = is_jpeg.then(|| jpeg::Outline::read(bytes, limits)).transpose()?;
        let announced = announced(bytes, format, jpeg.as_ref())
            .map_err(|error| why_unreadable(bytes, format, error))?;
        let Announced { size, per_pixel, overhead, passes, .. } = announced;
        limits.check_size(format, size)?;
        let ([width, height], reduction) = (size, Reduction::None);
        Ok(Header { format, width, height, per_pixel, overhead, passes, jpeg, reduction })
    })
}

/// The content of the file's header.
fn announced(
    bytes: &[u8],
    format: Format,
    jpeg: Option<&jpeg::Outline>,
) -> Result<Announced, DecodeError> {
    match format {
        Format::Png => png::announced(bytes),
        Format::Gif => gif::announced(bytes),
        Format::Bmp => bmp::announced(bytes),
        Format::WebP => webp::announced(bytes),
        Format::Tiff => tiff::announced(bytes),
        Format::Jpeg => {
            let outline = jpeg.ok_or_else(|| DecodeError::corrupt(format, "it has no header"))?;
            let color = match outline.components() {
                1 => "l8",
                4 => "cmyk8",
                _ => "rgb8",
            };
            Ok(Announced {
                size: outline.size(),
                color: color.to_owned(),
                per_pixel: 3 + limits::WORKING_BYTES_PER_PIXEL,
                overhead: limits::overhead(bytes.len() as u64),
                passes: outline.scans,
            })
        }
    }
}

/// The error for a header that cannot be read, which may be truncated.
fn why_unreadable(bytes: &[u8], format: Format, error: DecodeError) -> DecodeError {
    if truncated::is_truncated(bytes, format) { DecodeError::Truncated { format } } else { error }
}

/// Decodes the image of `header`: the first frame, upright, composited over white.
///
/// # Errors
///
/// [`DecodeError::Truncated`] if the file is truncated (incomplete images are never decoded),
/// [`DecodeError::Corrupt`] if it is damaged, and [`DecodeError::Stopped`] if `watch` stops it.
pub fn decode(bytes: &[u8], header: &Header, watch: Watch<'_>) -> Result<Image, DecodeError> {
    let format = header.format;
    if truncated::is_truncated(bytes, format) {
        return Err(DecodeError::Truncated { format });
    }
    guarded(format, || {
        let decoded = as_stored(bytes, header, watch)?;
        // Rotating a large image takes as long as decoding some formats, and so does preprocessing it.
        watch.check()?;
        let orientation = orientation(bytes, header);
        let mut upright = DynamicImage::ImageRgb8(decoded);
        if orientation != Orientation::NoTransforms {
            upright.apply_orientation(orientation);
            watch.check()?;
        }
        Ok(Image { pixels: upright.into_rgb8(), full: FullSize::of(header, orientation) })
    })
}

/// Decodes the pixels as stored, without applying the orientation; a JPEG at the header's reduction.
fn as_stored(bytes: &[u8], header: &Header, watch: Watch<'_>) -> Result<RgbImage, DecodeError> {
    let size = [header.width, header.height];
    match header.format {
        Format::Png => png::decode(bytes, size, watch),
        Format::Gif => gif::decode(bytes, watch),
        Format::Bmp => bmp::decode(bytes, watch),
        Format::WebP => webp::decode(bytes, size, watch),
        Format::Tiff => tiff::decode(bytes, watch),
        Format::Jpeg => match &header.jpeg {
            Some(outline) => jpeg::decode(bytes, outline, header.reduction, watch),
            None => Err(DecodeError::corrupt(header.format, "it has no header")),
        },
    }
}

/// The orientation of the image. A damaged EXIF block is ignored.
fn orientation(bytes: &[u8], header: &Header) -> Orientation {
    match header.format {
        Format::Png => png::orientation(bytes),
        Format::WebP => webp::orientation(bytes),
        Format::Tiff => tiff::orientation(bytes),
        Format::Jpeg => {
            header.jpeg.map_or(Orientation::NoTransforms, |outline| outline.orientation)
        }
        Format::Gif | Format::Bmp => Orientation::NoTransforms,
    }
}

impl FullSize {
    fn of(header: &Header, orientation: Orientation) -> Self {
        use Orientation::{
            FlipHorizontal, FlipVertical, NoTransforms, Rotate90, Rotate90FlipH, Rotate180,
            Rotate270, Rotate270FlipH,
        };
        let &Header { width, height, reduction, .. } = header;
        let filled = |side: u32| reduction.side(side) * reduction.divisor() - side;
        let (bottom, right) = (filled(height), filled(width));
        // Whether the orientation moves the bottom or the right side to the top or the left.
        let before = match orientation {
            NoTransforms | Rotate90FlipH => [0, 0],
            FlipHorizontal => [0, right],
            FlipVertical => [bottom, 0],
            Rotate180 => [bottom, right],
            Rotate90 => [0, bottom],
            Rotate270 => [right, 0],
            Rotate270FlipH => [right, bottom],
        };
        let turned = matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH);
        let size = if turned { [width, height] } else { [height, width] };
        Self { size, reduction, before }
    }
}

/// Runs a decoder. A panic counts as a corrupt image, because uploads may be malicious.
fn guarded<T>(
    format: Format,
    work: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(DecodeError::corrupt(format, PANICKED)))
}

/// The cause in [`DecodeError::Corrupt`] if the decoder panicked.
const PANICKED: &str = "its decoder failed";

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod rare_tests;
#[cfg(test)]
mod tests;
