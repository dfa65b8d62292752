//! State shared by a connection's task, its socket and the listener.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::http::body::Attachment;

/// The requests of a connection.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Whether it is HTTP/2.
    pub(super) http2: AtomicBool,
    /// Requests so far.
    pub(super) requests: AtomicU64,
    /// Whether the client accepts interim answers, which HTTP/1.0 does not have.
    pub(super) interim: AtomicBool,
    open: Mutex<OpenCounts>,
}

#[derive(Debug)]
struct OpenCounts {
    /// Requests that are being answered.
    requests: usize,
    /// Open HTTP/2 streams with complete headers.
    streams: usize,
    /// The last change of either number, or the start of the connection.
    last: Instant,
}

impl Default for OpenCounts {
    fn default() -> Self {
        Self { requests: 0, streams: 0, last: Instant::now() }
    }
}

impl Activity {
    /// Counts a new request, which is open until the returned guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> OpenRequest {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.lock().requests += 1;
        OpenRequest(Arc::clone(self))
    }

    /// Sets the number of open streams.
    pub(super) fn set_streams(&self, streams: usize) {
        let mut open = self.lock();
        if open.streams != streams {
            open.streams = streams;
            open.last = Instant::now();
        }
    }

    /// The time since which no request has been open; `None` if one is open.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let open = self.lock();
        (open.requests == 0 && open.streams == 0).then_some(open.last)
    }

    /// Each change is a single step, so the counts are valid even if the lock is poisoned.
    fn lock(&self) -> MutexGuard<'_, OpenCounts> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered, kept alive by its response body.
#[derive(Debug)]
pub(super) struct OpenRequest(Arc<Activity>);

impl Attachment for OpenRequest {}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let mut open = self.0.lock();
        open.requests -= 1;
        open.last = Instant::now();
    }
}
