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
    /// Decode at 1/2, 1/4 or 1/8, as long as that is at least twice the size needed.
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

/// Minimum size of a reduced image, relative to the size needed. With 1, the two filters would interfere, and
/// the difference from Pillow would be several times as large.
const SPARE: u64 = 2;

impl Preprocess {
    /// The strongest reduction of an image of `[height, width]`, upright or not, that is not visible in the
    /// result.
    fn reduction(&self, [height, width]: [u32; 2]) -> Reduction {
        // Nearest neighbour must select pixels of the original image, not means.
        if self.interpolation == Interpolation::Nearest {
            return Reduction::None;
        }
        // The orientation is not known yet.
        let fits = |reduction: Reduction| {
            [[height, width], [width, height]].into_iter().all(|size| {
                let divisor = u64::from(reduction.divisor());
                size.into_iter()
                    .zip(self.resized(size))
                    .all(|(full, resized)| u64::from(full) >= SPARE * divisor * resized)
            })
        };
        let smaller = Reduction::SMALLER.into_iter().rev().find(|reduction| fits(*reduction));
        smaller.unwrap_or(Reduction::None)
    }
}
