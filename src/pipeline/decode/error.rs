//! What can be wrong with an upload.

use std::error::Error;
use std::io;

use super::format::SERVED;
use super::watch::StoppedRead;
use super::{Format, Formats, Stop};

/// An upload that is no image, or none that is served.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DecodeError {
    /// No image format at all.
    #[error("the upload is not an image but {seen}; send the bytes of a picture ({SERVED})")]
    NotAnImage {
        /// What it looks like.
        seen: String,
    },
    /// An image format that is known and not served.
    #[error("the upload is {format}, which is not supported; convert it to {SERVED}")]
    Unsupported {
        /// Which, with its article.
        format: &'static str,
    },
    /// A format that can be decoded, and that this server does not accept.
    #[error(
        "the upload is {format}, which this server does not accept; convert it to one of {enabled}"
    )]
    Disabled {
        /// Its format.
        format: Format,
        /// The accepted formats.
        enabled: Formats,
    },
    /// The file ends too early.
    #[error("the {format} image is cut off; send all of it")]
    Truncated {
        /// Its format.
        format: Format,
    },
    /// The file is damaged.
    #[error("the {format} image is damaged ({cause}); send an intact one")]
    Corrupt {
        /// Its format.
        format: Format,
        /// The decoder's word.
        cause: String,
    },
    /// Nobody waits for it any more.
    #[error("the decode was stopped: {stop:?}")]
    Stopped {
        /// Why.
        stop: Stop,
    },
    /// More pixels than may be decoded.
    #[error(
        "the image has {pixels} pixels, more than {limit}; send a smaller one or raise --max-pixels"
    )]
    TooManyPixels {
        /// What its header announces.
        pixels: u64,
        /// What is allowed.
        limit: u64,
    },
    /// More bytes than may be sent.
    #[error(
        "the upload has {bytes} bytes, more than {limit}; send a smaller one or raise --max-bytes"
    )]
    TooManyBytes {
        /// What was sent.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
}

impl DecodeError {
    /// Whether the decoder panicked, which is a fault of the decoder and not only of the file.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Corrupt { cause, .. } if cause == super::PANICKED)
    }

    pub(super) fn corrupt(format: Format, cause: impl Into<String>) -> Self {
        Self::Corrupt { format, cause: cause.into() }
    }

    /// Whether `error` is what a watched reader says once its decode should stop.
    pub(super) fn stop_in(error: &(dyn Error + 'static)) -> Option<Stop> {
        cause_of(error).map(|&StoppedRead(stop)| stop)
    }
}

/// The first error of type `T` among `error` and its causes, also inside of I/O errors.
fn cause_of<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |&error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
    .find_map(<dyn Error>::downcast_ref)
}
