//! Decoding on tokio's blocking threads, a limited number at a time: on a GPU, with `--decoders`, and for requests that do
//! not run the network.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::ClassifyError;
use super::decode::{Stop, Watch};
use super::prepare::{self, Budget};
use super::preprocess::Pixels;
use super::queue::{Deadline, Permit, ServiceTimeEstimate};
use super::queue::{ImageTimings, Upload};
use crate::model::ModelCard;
use crate::telemetry::ModelMetrics;

/// Permits for decoding on other threads than the workers.
#[derive(Debug)]
pub(super) struct Decoders {
    free: Arc<Semaphore>,
    /// Permits for images that are slow to decode, so that quick ones need not wait for them.
    free_for_slow: Arc<Semaphore>,
    card: Arc<ModelCard>,
    estimate: Arc<ServiceTimeEstimate>,
    metrics: Arc<ModelMetrics>,
}

impl Decoders {
    pub(super) fn new(
        threads: usize,
        card: Arc<ModelCard>,
        estimate: Arc<ServiceTimeEstimate>,
        metrics: Arc<ModelMetrics>,
    ) -> Self {
        let free_for_slow = Arc::new(Semaphore::new((threads / 2).max(1)));
        Self { free: Arc::new(Semaphore::new(threads)), free_for_slow, card, estimate, metrics }
    }

    /// Decodes and preprocesses an upload, once a decoder is free.
    ///
    /// The memory of the decoded image is reserved when decoding starts; waiting uploads hold only their
    /// bytes.
    pub(super) async fn prepare(
        &self,
        upload: Upload,
        deadline: Deadline,
        permit: Permit,
    ) -> Result<Prepared, ClassifyError> {
        let (card, estimate) = (Arc::clone(&self.card), Arc::clone(&self.estimate));
        let metrics = Arc::clone(&self.metrics);
        let arrived = Instant::now();
        let slow = if self.estimate.rates().is_slow(upload.header.decode_time()) {
            Some(Arc::clone(&self.free_for_slow).acquire_owned().await)
        } else {
            None
        };
        let waited = arrived.elapsed();
        self.run(deadline, permit, move |permit, watch, decode_wait| {
            let _slow = slow;
            let decode_wait = waited + decode_wait;
            let budget = Budget { permit: &permit, watch };
            let (pixels, facts) = prepare::prepare(&upload, &card.preprocess, budget, &metrics)?;
            estimate.decoded(upload.header.decode_time(), facts.decode);
            Ok(Prepared { pixels, facts, permit, decode_wait })
        })
        .await
    }

    /// Runs `work` on the thread pool once a decoder is free, and passes it the permit for its memory
    /// and the time it waited.
    pub(super) async fn run<P: Send + 'static, T: Send + 'static>(
        &self,
        deadline: Deadline,
        permit: P,
        work: impl FnOnce(P, Watch<'_>, Duration) -> Result<T, ClassifyError> + Send + 'static,
    ) -> Result<T, ClassifyError> {
        let arrived = Instant::now();
        let decoder = Arc::clone(&self.free).acquire_owned().await;
        let decode_wait = arrived.elapsed();
        self.metrics.decode_wait_seconds.observe(decode_wait.as_secs_f64());
        // The permit and the semaphore's permit are moved into the work, so that memory in use is not
        // released when the caller disconnects.
        let caller = Arc::new(());
        let waiting = Arc::downgrade(&caller);
        let rates = self.estimate.rates();
        let work = tokio::task::spawn_blocking(move || {
            let _decoder = decoder;
            let stop = |announced| {
                if waiting.strong_count() == 0 {
                    return Some(Stop::Abandoned);
                }
                let done = Instant::now() + rates.decoding(announced);
                deadline.has_passed(done).then_some(Stop::Late)
            };
            work(permit, Watch::new(&stop), decode_wait)
        });
        let done = work.await;
        drop(caller);
        done.map_err(|error| ClassifyError::Prepare(error.to_string()))?
    }
}

/// Counts an image whose client disconnects before it is queued, because then this is dropped. The queue
/// counts those that disconnect later.
pub(super) struct Abandoned<'a> {
    pub(super) metrics: &'a ModelMetrics,
    pub(super) deadline: Deadline,
}

impl Abandoned<'_> {
    pub(super) fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if !self.deadline.has_passed(Instant::now()) {
            self.metrics.abandoned.inc();
        }
    }
}

/// An image between decoding and queue.
pub(super) struct Prepared {
    pub(super) pixels: Pixels,
    pub(super) facts: ImageTimings,
    pub(super) permit: Permit,
    pub(super) decode_wait: Duration,
}
