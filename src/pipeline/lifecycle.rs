//! Starts and stops a pipeline and its threads.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use super::classes::ClassIndex;
use super::decoders::Decoders;
use super::explain::Capabilities;
use super::queue::{Admission, Queue, ServiceTimeEstimate, Stages};
use super::rollup::Taxonomy;
use super::run::{Engines, Health, WorkerPlan, Workers};
use super::{Decoding, Pipeline, PipelinePlan, Resources};
use crate::model::ModelCard;

impl Pipeline {
    /// Starts one worker for each of `engines`, which run the model of `card`.
    ///
    /// # Errors
    ///
    /// If the system cannot create a thread.
    pub fn start(
        card: Arc<ModelCard>,
        plan: PipelinePlan,
        engines: impl Into<Engines>,
        resources: Resources,
    ) -> std::io::Result<Self> {
        let Resources { memory, cores, metrics } = resources;
        let engines = engines.into();
        let sessions = engines.ready.len();
        let decoders = match plan.decoding {
            // For previews and overlays, which do not run the network; they must leave cores for the workers.
            Decoding::Inline => (sessions / 2).max(1),
            Decoding::Dedicated { threads } => threads,
        };
        let count = |threads: usize| u32::try_from(threads).unwrap_or(u32::MAX);
        let workers = count(sessions);
        let estimate = Arc::new(ServiceTimeEstimate::new(match plan.decoding {
            Decoding::Inline => Stages::Shared { workers },
            Decoding::Dedicated { threads } => {
                Stages::Pipelined { decoders: count(threads), workers }
            }
        }));
        let capacity = i64::try_from(plan.queue_capacity).unwrap_or(i64::MAX);
        metrics.images_in_flight_limit.set(capacity);
        let health = Arc::new(Health::default());
        let cores = cores.map(Arc::new);
        let queue = Queue::new(sessions, Arc::clone(&metrics));
        let worker_plan = WorkerPlan {
            queue: queue.clone(),
            batch: plan.batch,
            preprocess: card.preprocess.clone(),
            estimate: Arc::clone(&estimate),
            stuck_after: plan.stuck_after,
            cores: cores.clone(),
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
        };
        // One running batch for each worker, and the batches that are waiting.
        let waiting = plan.batch.backlog.max(sessions);
        let batches = (sessions + waiting).saturating_mul(plan.batch.max_batch);
        let workers = Workers::start(&worker_plan, engines)?;
        Ok(Self {
            admission: Admission::new(
                plan.queue_capacity,
                memory,
                Arc::clone(&estimate),
                Arc::clone(&metrics),
            ),
            classes: ClassIndex::of(&card.labels),
            decoders: Decoders::new(
                decoders,
                Arc::clone(&card),
                Arc::clone(&estimate),
                Arc::clone(&metrics),
            ),
            at_once: decoders.max(sessions).saturating_add(batches).min(plan.queue_capacity),
            workers: Mutex::new(Some(workers)),
            observer: RwLock::default(),
            taxonomy: Taxonomy::of_model(&card),
            card,
            capabilities: Capabilities::nothing(),
            plan,
            queue,
            health,
            cores,
            metrics,
        })
    }

    /// Adds the capabilities of the model.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Lets the images of `replaced`, an older version of this model, run before those of this one.
    pub fn succeed(&self, replaced: &Self) {
        if let (Some(cores), Some(replaced)) = (&self.cores, &replaced.cores) {
            cores.succeed(replaced);
        }
    }

    /// Closes the queue and answers queued images with
    /// [`Rejected::Draining`](super::queue::Rejected::Draining).
    pub fn abort(&self) {
        self.queue.abort();
    }

    /// Closes the queue, runs the queued images, and waits for the workers.
    pub fn join(&self) {
        if let Some(workers) = self.close() {
            workers.join();
        }
    }

    /// Closes the queue. Returns the workers on the first call.
    fn close(&self) -> Option<Workers> {
        self.queue.close();
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Closes the queue, runs the queued images, and waits for the workers for at most `limit`; then drops
    /// the rest. Returns true if nothing was dropped.
    pub async fn finish(&self, limit: Duration) -> bool {
        let Some(workers) = self.close() else { return true };
        let joined = tokio::task::spawn_blocking(move || workers.join());
        let in_time = tokio::time::timeout(limit, joined).await.is_ok();
        if !in_time {
            self.queue.abort();
        }
        in_time
    }
}

/// Workers run the queued images, and end.
impl Drop for Pipeline {
    fn drop(&mut self) {
        self.queue.close();
    }
}
