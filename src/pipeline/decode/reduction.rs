//! The scale at which an image is decoded: 1, 1/2, 1/4 or 1/8.

use serde::{Serialize, Serializer};

/// The scale of decoding, for both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Reduction {
    None,
    Half,
    Quarter,
    Eighth,
}

impl Reduction {
    /// All reductions, weakest first.
    pub const SMALLER: [Self; 3] = [Self::Half, Self::Quarter, Self::Eighth];

    /// The width and height of a pixel, in pixels of the full-size image.
    #[must_use]
    pub fn divisor(self) -> u32 {
        match self {
            Self::None => 1,
            Self::Half => 2,
            Self::Quarter => 4,
            Self::Eighth => 8,
        }
    }

    /// A side of the reduced image, rounded up to whole pixels.
    #[must_use]
    pub fn side(self, full: u32) -> u32 {
        full.div_ceil(self.divisor())
    }
}

/// As a fraction: `1/1`, `1/4`.
impl Serialize for Reduction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("1/{}", self.divisor()))
    }
}
