//! An upload in the queue, and what preparing it gives.

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
    /// What its header announces.
    pub header: Header,
}

/// Facts about a prepared image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageTimings {
    /// What was uploaded.
    pub image: ImageFacts,
    /// Bytes to an upright image.
    pub decode: Duration,
    /// Image to the network's input.
    pub preprocess: Duration,
}

impl ImageTimings {
    /// As timings, in which the queue and the run are still to be told.
    #[must_use]
    pub fn timings(&self) -> Timings {
        Timings { decode: self.decode, preprocess: self.preprocess, ..Timings::default() }
    }
}

/// Why an upload could not be prepared.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PrepareError {
    /// It is damaged.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// There is no memory for its pixels now.
    #[error(transparent)]
    Rejected(#[from] Rejected),
}
