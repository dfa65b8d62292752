//! How long a decode takes, predicted from the header.

use std::time::Duration;

use super::{Format, Header, Reduction};

impl Header {
    /// How long decoding takes on one core of the machine on which the rates below were measured: an
    /// estimate, right within a factor of about two.
    #[must_use]
    pub fn decode_time(&self) -> Duration {
        let pixels = u64::from(self.width) * u64::from(self.height);
        let tenths =
            self.first_pass().saturating_add(u64::from(self.scans().saturating_sub(1)) * EACH_SCAN);
        Duration::from_nanos(pixels.saturating_mul(tenths) / 10)
    }

    /// Tenths of nanoseconds for each pixel of the whole picture.
    fn first_pass(&self) -> u64 {
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

/// And as many for each scan of a JPEG after the first.
const EACH_SCAN: u64 = 10;
