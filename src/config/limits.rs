//! Options for the limits of one upload.

use bytesize::ByteSize;
use clap::Args;

use crate::pipeline::decode::{Format, Formats, Limits};

/// Limits for one upload.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits for images")]
pub struct LimitArgs {
    /// The largest upload, in bytes
    #[arg(long, env = "RESNETD_MAX_BYTES", default_value = "20MiB", value_name = "SIZE")]
    pub max_bytes: ByteSize,

    /// The largest image, in pixels (width × height, read from the header)
    #[arg(long, env = "RESNETD_MAX_PIXELS", default_value_t = 50_000_000, value_name = "N")]
    pub max_pixels: u64,

    /// The image formats that are accepted, such as jpeg,png; others are answered 415 [default: all]
    #[arg(
        long,
        env = "RESNETD_FORMATS",
        value_delimiter = ',',
        value_parser = format,
        value_name = "FORMAT,..."
    )]
    pub formats: Vec<Format>,
}

impl LimitArgs {
    /// The limits for decoding.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let max_bytes = usize::try_from(self.max_bytes.as_u64()).unwrap_or(usize::MAX);
        Limits { max_bytes, max_pixels: self.max_pixels, formats: Formats::of(&self.formats) }
    }
}

/// Parses the name of a format.
fn format(text: &str) -> Result<Format, String> {
    let found = Format::ALL.into_iter().find(|format| format.to_string() == text);
    found.ok_or_else(|| format!("{text:?} is not a supported format; use some of {}", Formats::ALL))
}
