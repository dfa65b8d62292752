//! Bytes become an upright RGB image: tell the format, check the header, decode, orient, flatten.
//!
//! [`inspect`] reads only the header, so that what decoding would cost is known before it is spent.

mod announced; // what a header says
mod bmp;
mod canvas; // RGB, row by row
mod complete; // is the file all there
mod error;
mod exif; // which way is up
mod facts; // how it is stored
mod format; // which format, by content
mod gif;
mod jpeg;
mod limits; // refused from the header
mod png;
mod reduction; // at which part of its size
mod rgb; // any pixels → RGB on white
mod tiff;
mod watch; // is it still wanted
mod webp;

use std::fmt;
use std::io::{BufRead, Cursor, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageReader, RgbImage};

use announced::Announced;
pub use error::DecodeError;
pub use facts::{Stored, stored};
pub use format::Format;
pub use limits::Limits;
pub use reduction::Reduction;
pub use watch::{Stop, Watch, past};

/// What the header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The format that the content shows.
    pub format: Format,
    /// Columns as stored, before orientation.
    pub width: u32,
    /// Rows as stored, before orientation.
    pub height: u32,
    per_pixel: u8,
    /// Held beside the pixels, in bytes.
    beside: u64,
    passes: u32,
    /// The first of the reductions that its coding allows.
    gentlest: Option<Reduction>,
    reduction: Reduction,
}

impl Header {
    /// The same picture, to be decoded at a part of its size: at `most`, or at nothing less than all
    /// where its coding does not allow that.
    #[must_use]
    pub fn reduced(self, most: Reduction) -> Self {
        let allowed = self.gentlest.is_some_and(|gentlest| gentlest.divisor() <= most.divisor());
        Self { reduction: if allowed { most } else { Reduction::None }, ..self }
    }

    /// At which part of its size the picture will be decoded.
    #[must_use]
    pub fn reduction(&self) -> Reduction {
        self.reduction
    }

    /// The most that decoding will hold at once beside the upload, in bytes.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        let size = [self.width, self.height].map(|side| self.reduction.side(side));
        let pixels = limits::padded_pixels(size);
        pixels.saturating_mul(self.per_pixel.into()).saturating_add(self.beside)
    }

    /// How often decoding goes over all pixels, for an estimate of its time.
    #[must_use]
    pub fn passes(&self) -> u32 {
        self.passes
    }
}

/// An upright RGB image, uint8 `[height, width, 3]`, at least 1×1. Only [`decode`] makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    pixels: RgbImage,
    full: FullSize,
}

/// The picture that an image shows, before it was reduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FullSize {
    /// Height and width, upright.
    size: [u32; 2],
    reduction: Reduction,
    /// What the first row and the first column show that is not of the picture, in its pixels: a
    /// reduced picture is filled up at the right and at the bottom, and may be turned then.
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

    /// Height and width of the picture, of which this may be a reduced image.
    #[must_use]
    pub fn full_size(&self) -> [u32; 2] {
        self.full.size
    }

    /// Where the rows and columns of the picture are in this image: `[first, length]` in pixels of
    /// the picture become the same in pixels of the image.
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

    /// All pixels, to be changed: no image any more.
    #[must_use]
    pub fn into_rgb(self) -> Vec<u8> {
        self.pixels.into_raw()
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
        let announced =
            announced(bytes, format).map_err(|error| why_unreadable(bytes, format, error))?;
        let Announced { size, per_pixel, beside, passes, .. } = announced;
        limits.check(format, size)?;
        let [width, height] = size;
        let gentlest = if format == Format::Jpeg { jpeg::gentlest(bytes) } else { None };
        let reduction = Reduction::None;
        Ok(Header { format, width, height, per_pixel, beside, passes, gentlest, reduction })
    })
}

/// What the file's header says.
fn announced(bytes: &[u8], format: Format) -> Result<Announced, DecodeError> {
    match format {
        Format::Png => png::announced(bytes),
        Format::Gif => gif::announced(bytes),
        Format::Bmp => bmp::announced(bytes),
        Format::WebP => webp::announced(bytes),
        Format::Jpeg => announced_by_image(jpeg::header(bytes), bytes.len(), format),
        Format::Tiff => tiff::announced(bytes),
    }
}

/// The same as the `image` crate reads it from `head`, the part of an upload of `length` bytes that it needs.
fn announced_by_image(
    head: &[u8],
    length: usize,
    format: Format,
) -> Result<Announced, DecodeError> {
    let decoder = open(Cursor::new(head), format)?;
    let ((width, height), color) = (decoder.dimensions(), decoder.color_type());
    if matches!(color, ColorType::Rgb32F | ColorType::Rgba32F) {
        return Err(DecodeError::Unsupported { format: "an image of floating point pixels" });
    }
    Ok(Announced {
        size: [width, height],
        color: format!("{:?}", decoder.original_color_type()).to_lowercase(),
        per_pixel: color.bytes_per_pixel() + limits::WORKING_BYTES_PER_PIXEL,
        beside: limits::beside(length as u64),
        passes: 1,
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
/// [`DecodeError::Corrupt`] where it is damaged inside; [`DecodeError::Stopped`] once `watch` says so.
pub fn decode(bytes: &[u8], header: &Header, watch: Watch<'_>) -> Result<Image, DecodeError> {
    let format = header.format;
    if complete::is_cut_off(bytes, format) {
        return Err(DecodeError::Truncated { format });
    }
    guarded(format, || {
        let (picture, orientation) = match header.reduction {
            Reduction::None => whole(bytes, header, watch)?,
            reduction @ (Reduction::Half | Reduction::Quarter | Reduction::Eighth) => {
                (jpeg::decode(bytes, reduction)?, jpeg::orientation(bytes))
            }
        };
        let mut upright = DynamicImage::ImageRgb8(picture);
        upright.apply_orientation(orientation);
        Ok(Image { pixels: upright.into_rgb8(), full: FullSize::of(header, orientation) })
    })
}

/// Decodes all pixels, not upright yet.
fn whole(
    bytes: &[u8],
    header: &Header,
    watch: Watch<'_>,
) -> Result<(RgbImage, Orientation), DecodeError> {
    let picture = match header.format {
        Format::Png => png::decode(bytes, [header.width, header.height], watch)?,
        Format::Gif => gif::decode(bytes, watch)?,
        Format::Bmp => bmp::decode(bytes, watch)?,
        Format::WebP => webp::decode(bytes, [header.width, header.height], watch)?,
        Format::Tiff => tiff::decode(bytes, watch)?,
        Format::Jpeg => whole_by_image(bytes, header, watch)?,
    };
    Ok((picture, orientation(bytes, header.format)))
}

/// The same by the `image` crate.
fn whole_by_image(
    bytes: &[u8],
    header: &Header,
    watch: Watch<'_>,
) -> Result<RgbImage, DecodeError> {
    let format = header.format;
    let mut decoder = open(watch.reader(Cursor::new(bytes)), format)?;
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(header.decoded_bytes());
    let failed = |error| DecodeError::from_image(format, error);
    decoder.set_limits(limits).map_err(failed)?;
    let picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    Ok(rgb::flatten(picture))
}

/// How the picture must be turned. A damaged EXIF block spoils the orientation, not the picture.
fn orientation(bytes: &[u8], format: Format) -> Orientation {
    match format {
        Format::Png => png::orientation(bytes),
        Format::WebP => webp::orientation(bytes),
        Format::Tiff => tiff::orientation(bytes),
        Format::Jpeg => open(Cursor::new(bytes), format)
            .ok()
            .and_then(|mut decoder| decoder.orientation().ok())
            .unwrap_or(Orientation::NoTransforms),
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
        // Where a turn brings the bottom or the right of the file to the top or to the left.
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

fn open<'a>(
    reader: impl BufRead + Seek + 'a,
    format: Format,
) -> Result<impl ImageDecoder + 'a, DecodeError> {
    ImageReader::with_format(reader, format.known())
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
mod rare_tests;
#[cfg(test)]
mod tests;
