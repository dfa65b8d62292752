//! The RGB pixels of a picture while it is decoded, row by row.

use image::RgbImage;

use super::{DecodeError, Format, Watch};

/// How many pixels are made between two questions to the watch: a few milliseconds' work.
const PIXELS_BETWEEN_CHECKS: usize = 1 << 18;

/// A white picture whose rows are written one after the other. It asks its watch as it is filled.
pub(super) struct Canvas<'a> {
    pixels: Vec<u8>,
    width: usize,
    watch: Watch<'a>,
    since_check: usize,
}

impl<'a> Canvas<'a> {
    /// `[width, height]` in pixels, none of them 0.
    pub(super) fn new([width, height]: [u32; 2], watch: Watch<'a>) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self { pixels: vec![255; width * height * 3], width, watch, since_check: 0 }
    }

    /// The row at `y`, three bytes for each pixel; `None` below the picture.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Stopped`], now and then.
    pub(super) fn row(&mut self, y: usize) -> Result<Option<&mut [u8]>, DecodeError> {
        self.worked(self.width)?;
        let length = self.width * 3;
        Ok(y.checked_mul(length).and_then(|at| self.pixels.get_mut(at..at + length)))
    }

    /// What it asks.
    pub(super) fn watch(&self) -> Watch<'a> {
        self.watch
    }

    /// All pixels, for a decoder that writes to other places than rows, and the length of a row.
    pub(super) fn all(&mut self) -> (&mut [u8], usize) {
        (&mut self.pixels, self.width * 3)
    }

    /// Counts work that writes no row.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Stopped`], now and then.
    pub(super) fn worked(&mut self, pixels: usize) -> Result<(), DecodeError> {
        self.since_check += pixels;
        if self.since_check < PIXELS_BETWEEN_CHECKS {
            return Ok(());
        }
        self.since_check = 0;
        self.watch.check()
    }

    /// The finished picture of `format`.
    pub(super) fn into_picture(self, format: Format) -> Result<RgbImage, DecodeError> {
        let lines = self.pixels.len() / (self.width * 3);
        let sides = (u32::try_from(self.width), u32::try_from(lines));
        let (Ok(width), Ok(height)) = sides else {
            return Err(DecodeError::corrupt(format, "its sides are too long"));
        };
        RgbImage::from_raw(width, height, self.pixels)
            .ok_or_else(|| DecodeError::corrupt(format, "it has no pixels"))
    }
}
