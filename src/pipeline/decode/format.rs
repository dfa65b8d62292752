//! The supported formats.

use std::fmt;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// A supported format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(missing_docs, reason = "their names say it")]
pub enum Format {
    Jpeg,
    Png,
    WebP,
    Gif,
    Bmp,
    Tiff,
}

/// The supported formats, for messages.
pub(super) const SERVED: &str = "JPEG, PNG, WebP, GIF, BMP or TIFF";

impl Format {
    /// All formats.
    pub const ALL: [Self; 6] =
        [Self::Jpeg, Self::Png, Self::WebP, Self::Gif, Self::Bmp, Self::Tiff];

    /// A description of rare files of this format that are not supported.
    pub(super) fn of_a_rare_kind(self) -> &'static str {
        match self {
            Self::Jpeg => "a JPEG of a rare kind",
            Self::Png => "a PNG of a rare kind",
            Self::WebP => "a WebP of a rare kind",
            Self::Gif => "a GIF of a rare kind",
            Self::Bmp => "a BMP of a rare kind",
            Self::Tiff => "a TIFF of a rare kind",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
        })
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
