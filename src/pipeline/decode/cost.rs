//! Predicts the decode time from the header.

use std::time::Duration;

use super::{Format, Header, limits};

impl Header {
    /// The predicted decode time on one core of the machine on which the rates below were measured, within a
    /// factor of about two.
    #[must_use]
    pub fn decode_time(&self) -> Duration {
        let size = [self.width, self.height];
        match (self.format, &self.jpeg) {
            (Format::Jpeg, Some(jpeg)) => jpeg.decode_time(self.reduction),
            (Format::Png, _) => time(size, 14),
            (Format::WebP, _) => webp(size),
            (Format::Gif, _) => time(size, 11),
            (Format::Jpeg, None) | (Format::Bmp, _) => time(size, 4),
            (Format::Tiff, _) => time(size, 15),
        }
    }
}

/// The predicted decode time of a WebP of `size` (columns, rows).
pub(super) fn webp(size: [u32; 2]) -> Duration {
    time(size, 25)
}

/// The time for an image of `size` (columns, rows) at `nanoseconds` per pixel.
fn time(size: [u32; 2], nanoseconds: u64) -> Duration {
    Duration::from_nanos(limits::pixels(size).saturating_mul(nanoseconds))
}
