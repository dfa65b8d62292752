//! The context of every image of a request: its origin and its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Deadline, Priority};
use crate::telemetry::spans::RequestSpan;

/// Identifies a client for fair queueing: the images of one client wait behind each other, not in front
/// of another client's. Over HTTP a client is an API key, an address or a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey(u64);

/// Set in the keys of clients that have more than one connection.
const LASTING: u64 = 1 << 63;

impl ClientKey {
    /// The key of a client that is identified by more than its connection; `hash` is that of its identity.
    /// It differs from every key that [`ClientKeys`] assigns.
    #[must_use]
    pub fn lasting(hash: u64) -> Self {
        Self(hash | LASTING)
    }
}

/// Hands out [`ClientKey`]s; each listener has one.
#[derive(Debug, Default)]
pub struct ClientKeys {
    next: AtomicU64,
}

impl ClientKeys {
    /// Keys from `first` on.
    #[must_use]
    pub fn starting_at(first: u64) -> Self {
        Self { next: AtomicU64::new(first) }
    }

    /// A key that no other client of this listener has.
    pub fn assign(&self) -> ClientKey {
        ClientKey(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// Who sent a request.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The request's id, as in `X-Request-Id` and in log lines.
    pub request_id: Arc<str>,
    /// Whose turn its images take.
    pub client: ClientKey,
    /// How many images this client may have in flight.
    pub max_images: usize,
    /// The class of its images.
    pub priority: Priority,
    /// The request's span, if it is traced and recorded.
    pub span: Option<Arc<RequestSpan>>,
}

/// A request, as the pipeline knows it.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Who sent it.
    pub origin: Origin,
    /// When its answer is of no use any more.
    pub deadline: Deadline,
}

impl RequestContext {
    /// How many images of this request may be in flight: `most`, if the client may have as many.
    #[must_use]
    pub fn at_once(&self, most: usize) -> usize {
        most.min(self.origin.max_images)
    }

    /// A caller in this process, such as a command that reads files: the only client.
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
