//! Context of a request's images: origin and deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Deadline, Priority};
use crate::telemetry::spans::RequestSpan;

/// Identifies a client for fair queueing: an image waits behind the client's other images, and not behind all
/// images of other clients. Over HTTP a client is an API key, an address or a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey(u64);

/// Set in the keys of clients that are not identified by one connection.
const LASTING: u64 = 1 << 63;

impl ClientKey {
    /// The key of a client with a lasting identity, whose hash is `hash`. It differs from every key that
    /// [`ClientKeys`] assigns.
    #[must_use]
    pub fn lasting(hash: u64) -> Self {
        Self(hash | LASTING)
    }
}

/// Assigns [`ClientKey`]s; each listener has one.
#[derive(Debug)]
pub struct ClientKeys {
    next: AtomicU64,
}

/// From 1 on, because callers in this process have the key 0.
impl Default for ClientKeys {
    fn default() -> Self {
        Self::starting_at(1)
    }
}

impl ClientKeys {
    /// Keys from `first` on.
    #[must_use]
    pub fn starting_at(first: u64) -> Self {
        Self { next: AtomicU64::new(first) }
    }

    /// Returns a key that no other client of this listener has.
    pub fn assign(&self) -> ClientKey {
        ClientKey(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// The sender of a request, and its limits.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The request's id, as in `X-Request-Id` and in log lines.
    pub request_id: Arc<str>,
    /// Its client, for fair queueing.
    pub client: ClientKey,
    /// Maximum number of images of this client in flight.
    pub max_images: usize,
    /// Priority class of its images.
    pub priority: Priority,
    /// The request's span, if it is traced and recorded.
    pub span: Option<Arc<RequestSpan>>,
}

/// The context of a request in the pipeline.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The sender.
    pub origin: Origin,
    /// Time after which the answer is useless.
    pub deadline: Deadline,
}

impl RequestContext {
    /// Maximum number of images of this request in flight: `most`, or the client's limit if that is less.
    #[must_use]
    pub fn at_once(&self, most: usize) -> usize {
        most.min(self.origin.max_images)
    }

    /// The context of a caller in this process, such as a command that reads files.
    #[must_use]
    pub fn local(deadline: Deadline) -> Self {
        Self { origin: Origin::local(), deadline }
    }
}

impl Origin {
    /// A caller in this process.
    #[must_use]
    pub fn local() -> Self {
        Self {
            request_id: Arc::from("local"),
            client: ClientKey(0),
            max_images: usize::MAX,
            priority: Priority::Interactive,
            span: None,
        }
    }
}
