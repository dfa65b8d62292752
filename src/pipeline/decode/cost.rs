//! How long a decode takes, predicted from the header.

use std::time::Duration;

use super::{Format, Header, Reduction, limits};

/// Tenths of nanoseconds for each pixel: WebP, a JPEG at its full size, and each scan of it after the first.
const WEBP: u64 = 250;
const WHOLE_JPEG: u64 = 50;
const EACH_SCAN: u64 = 10;

impl Header {
    /// How long decoding takes on one core of the machine on which the rates below were measured: an
    /// estimate, right within a factor of about two.
    #[must_use]
    pub fn decode_time(&self) -> Duration {
        let size = [self.width, self.height];
        let first = match (self.format, self.reduction) {
            (Format::Jpeg, Reduction::None) => return whole_jpeg(size, self.scans()),
            (Format::Jpeg, Reduction::Half | Reduction::Quarter | Reduction::Eighth) => 20,
            (Format::Png, _) => 140,
            (Format::WebP, _) => WEBP,
            (Format::Gif, _) => 110,
            (Format::Bmp, _) => 40,
            (Format::Tiff, _) => 150,
        };
        time(size, first, self.scans())
    }
}

/// The same for a JPEG of `scans` scans, at its full size.
pub(super) fn whole_jpeg(size: [u32; 2], scans: u32) -> Duration {
    time(size, WHOLE_JPEG, scans)
}

/// The same for a WebP.
pub(super) fn webp(size: [u32; 2]) -> Duration {
    time(size, WEBP, 1)
}

/// The time for `size` columns and rows: `first` tenths of nanoseconds for each pixel, and more for each scan
/// of a JPEG after the first.
fn time(size: [u32; 2], first: u64, scans: u32) -> Duration {
    let tenths = first.saturating_add(u64::from(scans.saturating_sub(1)) * EACH_SCAN);
    Duration::from_nanos(limits::pixels(size).saturating_mul(tenths) / 10)
}
