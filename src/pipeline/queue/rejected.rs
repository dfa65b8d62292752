//! Why admission control rejects an image.

use std::time::Duration;

use crate::telemetry::Reason;

/// An image or upload that is turned away although nothing is wrong with it. Come back later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// As many images are inside as may be.
    #[error("the queue is full ({images} images are in flight); retry in {retry_after:.0?}")]
    QueueFull {
        /// Images inside.
        images: usize,
        /// When to try again.
        retry_after: Duration,
    },
    /// It was displaced from the queue by a client with fewer images in flight.
    #[error(
        "the queue is full, and this client has more images in it than others; \
         retry in {retry_after:.0?}"
    )]
    Displaced {
        /// When to try again.
        retry_after: Duration,
    },
    /// The bytes would not fit under the ceiling now.
    #[error(
        "{wanted} more bytes would exceed the server's memory limit of {limit} bytes; \
         retry in {retry_after:.0?}"
    )]
    Memory {
        /// Bytes asked for.
        wanted: u64,
        /// The ceiling.
        limit: u64,
        /// When to try again.
        retry_after: Duration,
    },
    /// The answer might come after the deadline.
    #[error(
        "the predicted time is {predicted:.0?}, but only {left:.0?} of the request's time limit are \
         left"
    )]
    TooLate {
        /// How long the answer may take.
        predicted: Duration,
        /// How long the caller would still wait.
        left: Duration,
        /// When to try again.
        retry_after: Duration,
    },
    /// This client has as many images in flight as it may have.
    #[error(
        "this client has {images} images in flight, which is its limit; retry in {retry_after:.0?}"
    )]
    ClientLimit {
        /// Images of this client.
        images: usize,
        /// When to try again.
        retry_after: Duration,
    },
    /// The server is shutting down.
    #[error("the server is shutting down; retry on another instance")]
    Draining,
}

impl Rejected {
    /// The word for metrics and clients.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::QueueFull { .. } | Self::Displaced { .. } => Reason::QueueFull,
            Self::Memory { .. } => Reason::MemoryLimit,
            Self::TooLate { .. } => Reason::Deadline,
            Self::ClientLimit { .. } => Reason::ClientLimit,
            Self::Draining => Reason::Draining,
        }
    }

    /// The same; for memory that is in use at least until `wait` has passed, with that time to retry.
    #[must_use]
    pub(super) fn retry_after_at_least(self, wait: Duration) -> Self {
        match self {
            Self::Memory { wanted, limit, retry_after } => {
                Self::Memory { wanted, limit, retry_after: retry_after.max(wait) }
            }
            other @ (Self::QueueFull { .. }
            | Self::Displaced { .. }
            | Self::TooLate { .. }
            | Self::ClientLimit { .. }
            | Self::Draining) => other,
        }
    }

    /// When to try again, never less than a second (the header's unit).
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::QueueFull { retry_after, .. }
            | Self::Displaced { retry_after }
            | Self::Memory { retry_after, .. }
            | Self::ClientLimit { retry_after, .. }
            | Self::TooLate { retry_after, .. } => (*retry_after).max(Duration::from_secs(1)),
            Self::Draining => Duration::from_secs(1),
        }
    }
}
