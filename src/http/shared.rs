//! State that all requests share, created when the server starts.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::problem::Problem;
use super::rejection_log::RejectionLog;
use crate::telemetry::DecayingRate;
use crate::telemetry::logs::DroppedLines;

/// Below this number of bytes, parsing is faster than switching to another thread.
const INLINE_LIMIT: usize = 16 << 10;

/// Permits for long-running work, and the state of the log.
#[derive(Debug)]
pub struct Shared {
    /// Rejections that are not logged yet.
    pub(super) rejections: RejectionLog,
    /// Dropped log lines.
    pub(super) dropped_lines: DroppedLines,
    /// Requests to the API, for load reports.
    pub(super) requests: DecayingRate,
    parsers: Arc<Semaphore>,
}

impl Shared {
    /// State with `parsers` permits for parsing and decompressing bodies.
    #[must_use]
    pub fn new(parsers: usize, dropped_lines: DroppedLines) -> Self {
        Self {
            rejections: RejectionLog::default(),
            dropped_lines,
            requests: DecayingRate::default(),
            parsers: Arc::new(Semaphore::new(parsers.max(1))),
        }
    }

    /// Logs the rejections of the last second, before the process ends.
    pub fn report_rejections(&self) {
        self.rejections.report();
    }

    /// Runs `work` on `bytes` of input: with many bytes, on a blocking thread with a permit. So parsing uses
    /// at most as many cores as there are permits, and does not block async threads.
    pub(super) async fn parse<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        if bytes <= INLINE_LIMIT {
            return work();
        }
        let permit = Arc::clone(&self.parsers).acquire_owned().await;
        let permit = permit.map_err(|_| Problem::internal())?;
        let parsing = tokio::task::spawn_blocking(move || {
            // Held by the thread, so that a client that disconnects does not release it early.
            let _permit = permit;
            work()
        });
        parsing.await.map_err(|_| Problem::internal())?
    }
}
