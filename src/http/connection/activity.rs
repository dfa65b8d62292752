//! What a connection's task, its socket and the listener know of each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::http::body::Companion;

/// A connection's requests.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Whether it is HTTP/2.
    pub(super) http2: AtomicBool,
    /// Requests so far.
    pub(super) requests: AtomicU64,
    /// Whether the client knows interim answers, which HTTP/1.0 has not.
    pub(super) interim: AtomicBool,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    /// Requests that are being answered.
    requests: usize,
    /// Streams whose headers are complete and that are not over, over HTTP/2.
    streams: usize,
    /// When there was last one of either; else when the connection began.
    last: Instant,
}

impl Default for Open {
    fn default() -> Self {
        Self { requests: 0, streams: 0, last: Instant::now() }
    }
}

impl Activity {
    /// Notes that a request has come, which is open until what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> OpenRequest {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.lock().requests += 1;
        OpenRequest(Arc::clone(self))
    }

    /// Notes how many streams are open.
    pub(super) fn set_streams(&self, streams: usize) {
        let mut open = self.lock();
        if open.streams != streams {
            open.streams = streams;
            open.last = Instant::now();
        }
    }

    /// Since when no request has been open; `None` where one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let open = self.lock();
        (open.requests == 0 && open.streams == 0).then_some(open.last)
    }

    /// Each change is one step, so a poisoned lock still guards true counts.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered; its answer's body keeps it.
#[derive(Debug)]
pub(super) struct OpenRequest(Arc<Activity>);

impl Companion for OpenRequest {}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let mut open = self.0.lock();
        open.requests -= 1;
        open.last = Instant::now();
    }
}
