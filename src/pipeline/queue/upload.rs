//! An upload in the queue, and the result of preparing it.

use std::time::Duration;

use bytes::Bytes;

use super::Rejected;
use crate::pipeline::decode::{DecodeError, Header};
use crate::pipeline::{ImageFacts, Timings};

/// An uploaded image whose header was inspected.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The file.
    pub bytes: Bytes,
    /// Its parsed header.
    pub header: Header,
}

/// Facts about a prepared image, with timings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageTimings {
    /// The uploaded image.
    pub image: ImageFacts,
    /// Time to decode it to an upright image.
    pub decode: Duration,
    /// Time to convert that to the network's input.
    pub preprocess: Duration,
}

impl ImageTimings {
    /// As timings, without those of the queue and the run.
    #[must_use]
    pub fn timings(&self) -> Timings {
        Timings { decode: self.decode, preprocess: self.preprocess, ..Timings::default() }
    }
}

/// Why an upload could not be prepared.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PrepareError {
    /// It cannot be decoded, or decoding was stopped.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The memory limit does not allow its pixels.
    #[error(transparent)]
    Rejected(#[from] Rejected),
}
