//! The scale at which a JPEG may be decoded, given the size that the network needs.

use clap::ValueEnum;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Interpolation, Preprocess};
use crate::pipeline::decode::{Header, Reduction};

/// Whether a JPEG that is much larger than the network's input is decoded at reduced size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JpegScaling {
    /// Decode at 1/2, 1/4 or 1/8 if the image is much larger than the size needed.
    On,
    /// Decode every JPEG at its full size.
    Off,
}

impl JpegScaling {
    /// Sets the scale of an image that is decoded for `preprocess` only.
    #[must_use]
    pub fn plan(self, header: Header, preprocess: &Preprocess) -> Header {
        match self {
            Self::On => header.reduced(preprocess.reduction([header.height, header.width])),
            Self::Off => header,
        }
    }
}

/// Images with fewer pixels are decoded at full size. That takes 0.3 ms at most, and small images are often
/// drawings, whose sharp edges differ most from Pillow's.
const SMALL: u64 = 256 * 256;
/// Images with fewer pixels have usually been scaled down already, and are sharper than the photo of a camera.
const MEGAPIXEL: u64 = 1_000_000;

impl Preprocess {
    /// The strongest reduction of an image of `[height, width]`, upright or not, that is not visible in the
    /// result.
    fn reduction(&self, [height, width]: [u32; 2]) -> Reduction {
        let pixels = u64::from(height) * u64::from(width);
        // Nearest neighbour must select pixels of the original image, not means.
        if self.interpolation == Interpolation::Nearest || pixels < SMALL {
            return Reduction::None;
        }
        // The orientation is not known yet.
        let fits = |reduction: Reduction| {
            let Some(least) = least(reduction, pixels) else { return false };
            [[height, width], [width, height]].into_iter().all(|size| {
                size.into_iter()
                    .zip(self.resized(size))
                    .all(|(full, resized)| u64::from(full) >= least * resized)
            })
        };
        let smaller = Reduction::SMALLER.into_iter().rev().find(|reduction| fits(*reduction));
        smaller.unwrap_or(Reduction::None)
    }
}

/// How many times as large as the size needed an image with this number of pixels must be for a reduction; `None` if it is
/// never used. In smaller images, more of the frequencies that are left out would be visible in the result.
fn least(reduction: Reduction, pixels: u64) -> Option<u64> {
    if pixels < MEGAPIXEL {
        return match reduction {
            Reduction::None => Some(1),
            // It takes as long as at full size.
            Reduction::Half => None,
            Reduction::Quarter => Some(11),
            Reduction::Eighth => Some(24),
        };
    }
    Some(2 * u64::from(reduction.divisor()))
}
