//! Errors of uploads.

use std::error::Error;
use std::io;

use super::format::SERVED;
use super::{Format, Formats};

/// The upload is not an image, or an image that is not supported.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DecodeError {
    /// Not an image.
    #[error("the upload is not an image but {seen}; send the bytes of an image ({SERVED})")]
    NotAnImage {
        /// What it seems to be.
        seen: String,
    },
    /// A known image format that is not supported.
    #[error("the upload is {format}, which is not supported; convert it to {SERVED}")]
    Unsupported {
        /// The format, with its article.
        format: &'static str,
    },
    /// A format that can be decoded, but that this server does not accept.
    #[error(
        "the upload is {format}, which this server does not accept; convert it to one of {enabled}"
    )]
    Disabled {
        /// Its format, or a description with an article.
        format: String,
        /// The accepted formats.
        enabled: Formats,
    },
    /// The file is truncated.
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
        /// The error of the decoder.
        cause: String,
    },
    /// The result is not needed any more.
    #[error("the decode was stopped: {stop:?}")]
    Stopped {
        /// Why.
        stop: Stop,
    },
    /// The image has too many pixels.
    #[error(
        "the image has {pixels} pixels, more than {limit}; send a smaller one or raise --max-pixels"
    )]
    TooManyPixels {
        /// The number of pixels that the header announces.
        pixels: u64,
        /// The limit.
        limit: u64,
    },
    /// The upload has too many bytes.
    #[error(
        "the upload has {bytes} bytes, more than {limit}; send a smaller one or raise --max-bytes"
    )]
    TooManyBytes {
        /// The number of bytes of the upload.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl DecodeError {
    /// Whether the decoder panicked, which is a bug of the decoder.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Corrupt { cause, .. } if cause == super::PANICKED)
    }

    pub(super) fn corrupt(format: Format, cause: impl Into<String>) -> Self {
        Self::Corrupt { format, cause: cause.into() }
    }

    /// The reason in `error`, if it is the error of a watched reader whose decode should stop.
    pub(super) fn stop_in(error: &(dyn Error + 'static)) -> Option<Stop> {
        cause_of(error).map(|&StoppedRead(stop)| stop)
    }
}

/// The reason why a decode was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The request's deadline has passed, or will pass before the decode is finished.
    Late,
    /// The client has closed its connection.
    Abandoned,
}

/// The error of a reader whose decode is stopped, which is found among the causes of the decoder's error.
#[derive(Debug, thiserror::Error)]
#[error("the decode was stopped")]
pub(super) struct StoppedRead(pub(super) Stop);

/// The first error of type `T` among `error` and its causes, also inside I/O errors.
fn cause_of<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |&error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
    .find_map(<dyn Error>::downcast_ref)
}
