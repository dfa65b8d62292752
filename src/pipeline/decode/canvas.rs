//! The RGB pixels of an image while it is decoded row by row.

use image::RgbImage;

use super::{DecodeError, Format, Watch};

/// Pixels between two checks of the watch: a few milliseconds of work.
const PIXELS_BETWEEN_CHECKS: usize = 1 << 18;

/// A white image whose rows are written one after the other. It checks its watch meanwhile.
pub(super) struct Canvas<'a> {
    pixels: Vec<u8>,
    width: usize,
    watch: Watch<'a>,
    since_check: usize,
}

impl<'a> Canvas<'a> {
    /// A canvas of `[width, height]` pixels, which must not be 0.
    pub(super) fn new([width, height]: [u32; 2], watch: Watch<'a>) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self { pixels: vec![255; width * height * 3], width, watch, since_check: 0 }
    }

    /// The row at `y`, with three bytes per pixel; `None` below the image.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Stopped`] if the watch says so.
    pub(super) fn row(&mut self, y: usize) -> Result<Option<&mut [u8]>, DecodeError> {
        self.worked(self.width)?;
        let length = self.width * 3;
        Ok(y.checked_mul(length).and_then(|at| self.pixels.get_mut(at..at + length)))
    }

    /// The watch.
    pub(super) fn watch(&self) -> Watch<'a> {
        self.watch
    }

    /// All pixels and the length of a row, for a decoder that does not write row by row.
    pub(super) fn all(&mut self) -> (&mut [u8], usize) {
        (&mut self.pixels, self.width * 3)
    }

    /// Counts work other than writing rows.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Stopped`] if the watch says so.
    pub(super) fn worked(&mut self, pixels: usize) -> Result<(), DecodeError> {
        self.since_check += pixels;
        if self.since_check < PIXELS_BETWEEN_CHECKS {
            return Ok(());
        }
        self.since_check = 0;
        self.watch.check()
    }

    /// The finished image; `format` is for errors.
    pub(super) fn into_image(self, format: Format) -> Result<RgbImage, DecodeError> {
        let lines = self.pixels.len() / (self.width * 3);
        let sides = (u32::try_from(self.width), u32::try_from(lines));
        let (Ok(width), Ok(height)) = sides else {
            return Err(DecodeError::corrupt(format, "its sides are too long"));
        };
        RgbImage::from_raw(width, height, self.pixels)
            .ok_or_else(|| DecodeError::corrupt(format, "it has no pixels"))
    }
}
