//! Bytes become an upright RGB image: tell the format, check the header, decode, orient, flatten.
//!
//! [`inspect`] reads only the header, so that what decoding would cost is known before it is spent.

mod cost; // how long it takes, from the header
mod complete; // is the file all there
mod error;
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

use std::borrow::Cow;
use std::fmt;
use std::io::{BufRead, Cursor, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};

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
    bytes_per_pixel: u8,
    upload_bytes: usize,
    /// What is known of a JPEG.
    jpeg: Option<jpeg::Outline>,
    reduction: Reduction,
}

impl Header {
    /// The same picture, to be decoded at a part of its size: at `most`, or at nothing less than all
    /// where its coding does not allow that.
    #[must_use]
    pub fn reduced(self, most: Reduction) -> Self {
        let gentlest = self.jpeg.and_then(|jpeg| jpeg.gentlest);
        let allowed = gentlest.is_some_and(|gentlest| gentlest.divisor() <= most.divisor());
        Self { reduction: if allowed { most } else { Reduction::None }, ..self }
    }

    /// At which part of its size the picture will be decoded.
    #[must_use]
    pub fn reduction(&self) -> Reduction {
        self.reduction
    }

    /// How often the decoder goes over all pixels: the scans of a JPEG, and once for the other formats.
    #[must_use]
    pub fn scans(&self) -> u32 {
        self.jpeg.map_or(1, |jpeg| jpeg.scans)
    }

    /// The most that decoding will hold at once beside the upload, in bytes.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        let size = [self.width, self.height].map(|side| self.reduction.side(side));
        let pixels = limits::padded_pixels(size);
        let upload = self.upload_bytes as u64;
        let usual = limits::working_bytes(pixels, self.bytes_per_pixel.into(), upload);
        match (self.reduction, self.jpeg) {
            (Reduction::None, Some(jpeg)) => {
                usual.max(limits::working_bytes(0, 0, upload).saturating_add(jpeg.working_bytes()))
            }
            (Reduction::None, None)
            | (Reduction::Half | Reduction::Quarter | Reduction::Eighth, _) => usual,
        }
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
    if format == Format::Jpeg {
        return inspect_jpeg(bytes, limits);
    }
    guarded(format, || {
        if format == Format::Tiff && !tiff::tags_are_modest(bytes) {
            return Err(DecodeError::corrupt(format, "its tags announce more than the file holds"));
        }
        let head = match format {
            Format::Png => Cow::Owned(png::header(bytes)),
            Format::WebP => Cow::Borrowed(webp::whole(bytes).unwrap_or(bytes)),
            Format::Jpeg | Format::Gif | Format::Bmp | Format::Tiff => Cow::Borrowed(bytes),
        };
        let decoder = open(Cursor::new(&*head), format)
            .map_err(|error| why_unreadable(bytes, format, error))?;
        let ((width, height), color) = (decoder.dimensions(), decoder.color_type());
        limits.check(format, [width, height], color)?;
        let (bytes_per_pixel, upload_bytes) = (color.bytes_per_pixel(), bytes.len());
        let reduction = Reduction::None;
        Ok(Header { format, width, height, bytes_per_pixel, upload_bytes, jpeg: None, reduction })
    })
}

fn inspect_jpeg(bytes: &[u8], limits: &Limits) -> Result<Header, DecodeError> {
    let outline = jpeg::Outline::read(bytes, limits)?;
    let [width, height] = outline.size();
    Ok(Header {
        format: Format::Jpeg,
        width,
        height,
        bytes_per_pixel: 3,
        upload_bytes: bytes.len(),
        jpeg: Some(outline),
        reduction: Reduction::None,
    })
}

/// A header that cannot be read may not be all there.
fn why_unreadable(bytes: &[u8], format: Format, error: DecodeError) -> DecodeError {
    if complete::is_cut_off(bytes, format) { DecodeError::Truncated { format } } else { error }
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
        let (picture, orientation) = match &header.jpeg {
            Some(outline) => {
                let picture = jpeg::decode(bytes, outline, header.reduction, watch)?;
                (picture, outline.orientation)
            }
            None => whole(bytes, header, watch)?,
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
    let format = header.format;
    let needed = needed(bytes, header)?;
    let mut decoder = open(watch.reader(Cursor::new(&*needed)), format)?;
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(header.decoded_bytes());
    let failed = |error| DecodeError::from_image(format, error);
    decoder.set_limits(limits).map_err(failed)?;
    let orientation = orientation(&mut decoder, bytes, format);
    let picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    Ok((rgb::flatten(picture), orientation))
}

/// A damaged EXIF block spoils the orientation, not the picture.
fn orientation(decoder: &mut impl ImageDecoder, bytes: &[u8], format: Format) -> Orientation {
    match format {
        Format::Png => png::orientation(bytes),
        Format::Jpeg | Format::WebP | Format::Gif | Format::Bmp | Format::Tiff => {
            decoder.orientation().unwrap_or(Orientation::NoTransforms)
        }
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
mod tests;
