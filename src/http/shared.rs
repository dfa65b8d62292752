//! What the handlers share beside the pipeline, made once when the server starts.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::classes::ClassIndex;
use super::problem::Problem;
use super::refusals::Refusals;
use crate::telemetry::logs::DroppedLines;

/// So many bytes are read in less time than another thread needs to wake.
const AT_ONCE: usize = 16 << 10;

/// The index of the model's classes, the permits for work that takes a thread for long, and what is said of the
/// log.
#[derive(Debug)]
pub struct Shared {
    /// The model's classes by name.
    pub(super) classes: ClassIndex,
    /// Refusals that are not in the log yet.
    pub(super) refusals: Refusals,
    /// Log lines that are not there at all.
    pub(super) dropped_lines: DroppedLines,
    parsers: Arc<Semaphore>,
}

impl Shared {
    /// For a model with these `labels`; `parsers` bodies of JSON or base64 are read at the same time.
    #[must_use]
    pub fn new(labels: &[String], parsers: usize, dropped_lines: DroppedLines) -> Self {
        Self {
            classes: ClassIndex::of(labels),
            refusals: Refusals::default(),
            dropped_lines,
            parsers: Arc::new(Semaphore::new(parsers.max(1))),
        }
    }

    /// Runs `work` on `bytes` of input. Where they are many, this is on a thread that may be busy for long, as soon as
    /// there is a permit: parsing never takes more cores than there are permits, and an async thread only for a moment.
    pub(super) async fn parse<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        if bytes <= AT_ONCE {
            return work();
        }
        let permit = Arc::clone(&self.parsers).acquire_owned().await;
        let permit = permit.map_err(|_| Problem::internal())?;
        let parsing = tokio::task::spawn_blocking(move || {
            // Held by the thread: a client that leaves does not let another parser start beside this one.
            let _permit = permit;
            work()
        });
        parsing.await.map_err(|_| Problem::internal())?
    }
}
