//! Why admission control rejects an image.

use std::time::Duration;

use crate::telemetry::Reason;

/// A valid image or upload that is not processed now. Except for [`Rejected::LimitTooShort`], a retry may succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The maximum number of images is in flight.
    #[error(
        "the queue is full: {images} images are in flight, as many as the server allows; retry in {} s",
        header_seconds(*retry_after)
    )]
    QueueFull {
        /// Images in flight.
        images: usize,
        /// When to retry.
        retry_after: Duration,
    },
    /// It was displaced from the queue by an image of higher priority, or of a client with fewer images in flight.
    #[error(
        "the queue is full, and an image of higher priority or of a client with fewer images has taken this one's place; \
         retry in {} s",
        header_seconds(*retry_after)
    )]
    Displaced {
        /// When to retry.
        retry_after: Duration,
    },
    /// The memory limit would be exceeded.
    #[error(
        "{wanted} more bytes would exceed the server's memory limit of {limit} bytes; retry in {} s",
        header_seconds(*retry_after)
    )]
    Memory {
        /// Requested bytes.
        wanted: u64,
        /// The memory limit.
        limit: u64,
        /// When to retry.
        retry_after: Duration,
    },
    /// The answer would probably miss the deadline.
    #[error(
        "the answer would take about {predicted:.1?} with a reserve, but only {left:.1?} of the request's time limit are left; retry in {} s, \
         or allow more time if the request has X-Request-Timeout-Ms",
        header_seconds(*retry_after)
    )]
    TooLate {
        /// Predicted time until the answer.
        predicted: Duration,
        /// Time until the deadline.
        left: Duration,
        /// When to retry.
        retry_after: Duration,
    },
    /// The image's own time exceeds the request's time limit, so that it would be rejected on an idle server too.
    #[error(
        "this image alone takes about {alone:.0?}, longer than the request's time limit of {limit:?}; allow more time \
         if the request has X-Request-Timeout-Ms, otherwise send a smaller image"
    )]
    LimitTooShort {
        /// Predicted time of this image without others.
        alone: Duration,
        /// The request's time limit.
        limit: Duration,
    },
    /// This client has its maximum number of images in flight.
    #[error(
        "this client has {images} images in flight, which is its limit; retry in {} s",
        header_seconds(*retry_after)
    )]
    ClientLimit {
        /// Images of this client in flight.
        images: usize,
        /// When to retry.
        retry_after: Duration,
    },
    /// The server is shutting down.
    #[error("the server is shutting down; retry on another instance")]
    Draining,
}

/// The value of the header `Retry-After`: whole seconds, rounded up, at least one.
#[must_use]
pub fn header_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

impl Rejected {
    /// The reason, for metrics and clients.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::QueueFull { .. } | Self::Displaced { .. } => Reason::QueueFull,
            Self::Memory { .. } => Reason::MemoryLimit,
            Self::TooLate { .. } | Self::LimitTooShort { .. } => Reason::Deadline,
            Self::ClientLimit { .. } => Reason::ClientLimit,
            Self::Draining => Reason::Draining,
        }
    }

    /// Raises the retry time of a memory rejection to at least `wait`.
    #[must_use]
    pub(super) fn retry_after_at_least(self, wait: Duration) -> Self {
        match self {
            Self::Memory { wanted, limit, retry_after } => {
                Self::Memory { wanted, limit, retry_after: retry_after.max(wait) }
            }
            other @ (Self::QueueFull { .. }
            | Self::Displaced { .. }
            | Self::TooLate { .. }
            | Self::LimitTooShort { .. }
            | Self::ClientLimit { .. }
            | Self::Draining) => other,
        }
    }

    /// When to retry; at least one second, the unit of the header.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::QueueFull { retry_after, .. }
            | Self::Displaced { retry_after }
            | Self::Memory { retry_after, .. }
            | Self::ClientLimit { retry_after, .. }
            | Self::TooLate { retry_after, .. } => (*retry_after).max(Duration::from_secs(1)),
            // A retry of `LimitTooShort` succeeds only if the prediction changes.
            Self::Draining | Self::LimitTooShort { .. } => Duration::from_secs(1),
        }
    }
}
