//! How long a decode takes, told from the header.

use std::time::Duration;

use super::{Format, Header, Reduction};

impl Header {
    /// How long decoding takes on one core of the machine on which the rates below were measured.
    #[must_use]
    pub fn decode_time(&self) -> Duration {
        let pixels = u64::from(self.width) * u64::from(self.height);
        Duration::from_nanos(pixels.saturating_mul(self.tenths_per_pixel()) / 10)
    }

    /// Tenths of nanoseconds for each pixel of the whole picture.
    fn tenths_per_pixel(&self) -> u64 {
        match (self.format, self.reduction) {
            (Format::Jpeg, Reduction::None) => 50,
            (Format::Jpeg, Reduction::Half | Reduction::Quarter | Reduction::Eighth) => 20,
            (Format::Png, _) => 140,
            (Format::WebP, _) => 250,
            (Format::Gif, _) => 110,
            (Format::Bmp, _) => 40,
            (Format::Tiff, _) => 150,
        }
    }
}
