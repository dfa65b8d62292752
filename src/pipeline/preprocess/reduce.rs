//! The scale at which a JPEG may be decoded, given the size that the network needs.

use clap::ValueEnum;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Interpolation, Preprocess};
use crate::pipeline::decode::{Header, Reduction};

/// Whether a JPEG that is much larger than the network's input is decoded at a part of its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JpegScaling {
    /// Decode at 1/2, 1/4 or 1/8, as long as that is at least twice the size needed.
    On,
    /// Decode every JPEG at its full size.
    Off,
}

impl JpegScaling {
    /// The header of a picture that will be used for `preprocess` and nothing else.
    #[must_use]
    pub fn plan(self, header: Header, preprocess: &Preprocess) -> Header {
        match self {
            Self::On => header.reduced(preprocess.reduction([header.height, header.width])),
            Self::Off => header,
        }
    }
}

/// How many times larger than needed a reduced picture still is. At 1 the two filters that reduce it
/// would be seen in each other, and the difference from Pillow is several times as large.
const SPARE: u64 = 2;

impl Preprocess {
    /// The strongest reduction of a picture of `[height, width]`, upright or not, that is not seen.
    fn reduction(&self, [height, width]: [u32; 2]) -> Reduction {
        // A single pixel shall be the picture's own, not a mean.
        if self.interpolation == Interpolation::Nearest {
            return Reduction::None;
        }
        // How it must be turned is not known yet.
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
