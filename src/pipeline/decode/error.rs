//! What can be wrong with an upload.

use std::error::Error;
use std::io;

use super::format::SERVED;
use super::watch::StoppedRead;
use super::{Format, Stop};

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
    #[error("the upload is {format}, which is not served; convert it to one of {SERVED}")]
    Unsupported {
        /// Which, with its article.
        format: &'static str,
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
    pub(super) fn corrupt(format: Format, cause: impl Into<String>) -> Self {
        Self::Corrupt { format, cause: cause.into() }
    }

    /// Whether `error` is what a watched reader says once its decode should stop.
    pub(super) fn stop_in(error: &(dyn Error + 'static)) -> Option<Stop> {
        cause_of(error).map(|&StoppedRead(stop)| stop)
    }

    /// The `image` crate's error about a file of `format`.
    pub(super) fn from_image(format: Format, error: image::ImageError) -> Self {
        use image::ImageError::{Decoding, Encoding, IoError, Limits, Parameter, Unsupported};
        if let Some(stop) = Self::stop_in(&error) {
            return Self::Stopped { stop };
        }
        match error {
            IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Truncated { format }
            }
            Decoding(error) if is_early_end(&error) => Self::Truncated { format },
            Unsupported(_) => Self::Unsupported { format: format.of_a_rare_kind() },
            Limits(_) => {
                Self::corrupt(format, "decoding it takes more memory than its header says")
            }
            Decoding(_) | Encoding(_) | Parameter(_) | IoError(_) => {
                Self::corrupt(format, error.to_string())
            }
        }
    }
}

/// Whether, somewhere below, a reader came to the end of the bytes.
fn is_early_end(error: &(dyn Error + 'static)) -> bool {
    cause_of(error).is_some_and(|io: &io::Error| io.kind() == io::ErrorKind::UnexpectedEof)
}

/// The first error of type `T` among `error` and its causes, also inside of I/O errors.
fn cause_of<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |&error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
    .find_map(<dyn Error>::downcast_ref)
}
