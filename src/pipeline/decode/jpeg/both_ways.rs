//! Decodes a file in one piece and rewritten, for tests and fuzzing: both ways have the same result.

use libjpeg_turbo_rs::{Image, PixelFormat};

use super::super::{DecodeError, Limits, Watch};
use super::outline::Outline;
use super::whole;

/// The pixels of [`whole::at_once`] and of [`whole::rewritten`]. `None` if only one way is right.
#[allow(unreachable_pub, reason = "fuzz targets call it, tests are in this module")]
pub fn both_ways(bytes: &[u8], limits: &Limits) -> Option<[Result<Vec<u8>, DecodeError>; 2]> {
    let outline = Outline::read(bytes, limits).ok()?;
    let ways = || {
        let at_once = whole::at_once(&whole::without_metadata(bytes), &outline);
        [at_once, whole::rewritten(bytes, &outline, Watch::never())]
    };
    (outline.can_be_rewritten() && !outline.must_be_rewritten())
        .then(|| ways().map(|image| image.map(in_colour)))
}

/// Pixels of three or four channels. A rewritten gray file is in colour.
fn in_colour(image: Image) -> Vec<u8> {
    if image.pixel_format == PixelFormat::Grayscale {
        image.data.iter().flat_map(|gray| [*gray; 3]).collect()
    } else {
        image.data
    }
}
