//! The queue of images, ordered fairly by client, with deadlines.
//!
//! [`Admission`] counts images in flight and [`Memory`] their bytes; both reject images before work is done
//! for them. [`Queue`] distributes [`Job`]s to the workers. A [`Ticket`] is the caller's side of a job:
//! dropping it removes the job from the queue.

mod admission;
mod in_flight; // images in flight by client
mod memory; // reserved bytes of the process
mod rejected;
mod deadline;
mod context;
mod estimate; // service times
mod priority_queues; // interactive before batch
mod fair; // fair queueing
mod priority;
mod upload; // an upload in the queue
mod job;
mod ticket; // the caller's side of a job

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

pub use admission::{Admission, Permit};
pub use context::{ClientKey, ClientKeys, Origin, RequestContext};
pub use deadline::Deadline;
pub use estimate::{Lane, QueueLoad, Rates, ServiceTimeEstimate, Stages};
use fair::OpenLanes;
pub use job::{Caller, Extra, Input, Job, JobAnswer, JobError, Scores};
pub use memory::{Memory, Reservation};
pub use priority::{BadPriority, Priority};
use priority_queues::{JobPosition, NextJob, PriorityQueues};
pub use rejected::{Rejected, header_seconds};
pub use ticket::Ticket;
pub use upload::{ImageTimings, PrepareError, Upload};

use crate::telemetry::ModelMetrics;

/// How batches are formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPlan {
    /// Maximum batch size, at least 1.
    pub max_batch: usize,
    /// How long the first image may wait for others; zero disables waiting.
    pub max_wait: Duration,
    /// Queued images required per image of a batch, at least 1. With 1 a batch takes all images that it can.
    /// With more, batches have one image until the backlog is so large that images must wait anyway. This is
    /// for devices on which a batch takes about as long as its images one by one, so that a batch only delays
    /// its first images.
    pub backlog: usize,
}

impl BatchPlan {
    /// The batch size for a worker when `waiting` images are queued and `takers` workers are idle,
    /// including itself.
    fn share(&self, waiting: usize, takers: usize) -> usize {
        let pressure = (waiting / self.backlog.max(1)).max(1);
        waiting.div_ceil(takers).min(pressure).min(self.max_batch)
    }
}

/// The queue between async tasks and worker threads; clones share it.
#[derive(Debug, Clone)]
pub struct Queue {
    shared: Arc<SharedQueue>,
}

#[derive(Debug)]
struct SharedQueue {
    state: Mutex<QueueState>,
    /// Maximum number of batches of [`Lane::Slow`] that are decoded at the same time.
    slow_limit: usize,
    metrics: Arc<ModelMetrics>,
}

#[derive(Debug, Default)]
struct QueueState {
    jobs: PriorityQueues,
    /// Number of batches of [`Lane::Slow`] that are being decoded.
    slow_running: usize,
    /// Workers without a batch, asleep or not.
    idle_workers: usize,
    /// Sleeping workers; the last one is woken first, because its core's cache is warm.
    asleep: Vec<Thread>,
    closed: bool,
}

impl Queue {
    /// An empty, open queue for `workers` workers. It is unbounded, because every job has passed
    /// [`Admission`].
    #[must_use]
    pub fn new(workers: usize, metrics: Arc<ModelMetrics>) -> Self {
        let slow_limit = admission::slow_workers(u32::try_from(workers).unwrap_or(u32::MAX));
        let shared =
            SharedQueue { state: Mutex::default(), slow_limit: slow_limit as usize, metrics };
        Self { shared: Arc::new(shared) }
    }

    /// Adds a job after those of its client.
    ///
    /// # Errors
    ///
    /// [`Rejected::Draining`] once the queue is closed.
    pub fn submit(&self, make: impl FnOnce(job::Reply) -> Job) -> Result<Ticket, Rejected> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let job = make(job::Reply(reply));
        let mut state = self.shared.lock();
        if state.closed {
            return Err(Rejected::Draining);
        }
        let position = state.jobs.add(job);
        self.shared.show_depth(&state);
        state.wake_one();
        drop(state);
        Ok(Ticket::new(self.clone(), position, answer))
    }

    /// Waits for the next batch: 1 to `max_batch` jobs in fair order.
    ///
    /// If other workers are idle too, each takes its share, so that two queued images run in parallel. A slow
    /// job is a batch of its own. Returns `None` when the queue is closed and empty.
    #[must_use]
    pub fn next_batch(&self, plan: BatchPlan) -> Option<Jobs> {
        let mut state = self.shared.lock();
        state.idle_workers += 1;
        loop {
            let may_be_slow = state.slow_running < self.shared.slow_limit;
            let open = if may_be_slow { OpenLanes::Both } else { OpenLanes::Quick };
            let next = state.jobs.next(open);
            if let Some((next, first)) = next.and_then(|next| Some((next, state.jobs.first(next)?)))
            {
                let missing = plan.max_batch.saturating_sub(state.jobs.count(next));
                let remaining = plan.max_wait.saturating_sub(first.caller().queued_at().elapsed());
                if missing == 0 || remaining.is_zero() || state.closed || next.lane == Lane::Slow {
                    return Some(self.take(state, next, plan));
                }
                state = self.shared.sleep(state, Some(remaining));
            } else if state.closed && state.jobs.len() == 0 {
                state.idle_workers -= 1;
                // Another worker may still sleep because only slow jobs were left.
                state.wake_one();
                return None;
            } else {
                state = self.shared.sleep(state, None);
            }
        }
    }

    /// Takes this worker's share of the jobs at `next`.
    fn take(&self, mut state: MutexGuard<'_, QueueState>, next: NextJob, plan: BatchPlan) -> Jobs {
        // A batch that waited for more images is not shared among workers.
        let takers = if plan.max_wait.is_zero() { state.idle_workers } else { 1 };
        let (share, slow) = match next.lane {
            Lane::Quick => (plan.share(state.jobs.count(next), takers), None),
            Lane::Slow => {
                state.slow_running += 1;
                (1, Some(SlowTurn { queue: self.clone() }))
            }
        };
        state.idle_workers -= 1;
        let jobs = state.jobs.take(next, share);
        self.shared.show_depth(&state);
        if state.jobs.len() > 0 {
            state.wake_one();
        }
        Jobs { jobs, slow }
    }

    /// Displaces a queued image in favour of one with this `priority`, of a client with `own` images in
    /// flight. Removes the last job of the client with the most queued jobs and answers it. Returns false if
    /// no client has more jobs than this client would have with the image; an interactive image displaces any batch image.
    #[must_use]
    pub fn displace(&self, own: usize, priority: Priority, retry_after: Duration) -> bool {
        let mut state = self.shared.lock();
        let displaced = state.jobs.displace(own + 1, priority);
        self.shared.show_depth(&state);
        drop(state);
        let Some(job) = displaced else { return false };
        job.into_parts().1.answer(Err(JobError::Displaced { retry_after }));
        true
    }

    /// Closes the queue; workers run the queued jobs and then end.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        while !state.asleep.is_empty() {
            state.wake_one();
        }
    }

    /// Whether the queue is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }

    /// Drops all queued jobs; their callers get the answer "cancelled".
    pub fn abort(&self) {
        self.close();
        let dropped = std::mem::take(&mut self.shared.lock().jobs);
        self.shared.metrics.queue_depth.set(0);
        drop(dropped);
    }

    /// Number of queued jobs.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.shared.lock().jobs.len()
    }

    /// Removes a job whose ticket was dropped, unless a worker has taken it.
    fn forget(&self, position: JobPosition) {
        let mut state = self.shared.lock();
        let removed = state.jobs.remove(position);
        self.shared.show_depth(&state);
        drop(state);
        if removed.is_some_and(|job| !job.caller().deadline().has_passed(Instant::now())) {
            self.shared.metrics.abandoned.inc();
        }
    }
}

/// A batch that a worker has taken.
#[derive(Debug)]
pub struct Jobs {
    /// In fair order, at least one.
    pub jobs: Vec<Job>,
    /// For a slow batch, its permission, held until decoding is done or the worker is replaced.
    pub slow: Option<SlowTurn>,
}

/// Permission for a worker to process a slow job; released when dropped.
#[derive(Debug)]
pub struct SlowTurn {
    queue: Queue,
}

impl Drop for SlowTurn {
    fn drop(&mut self) {
        let mut state = self.queue.shared.lock();
        state.slow_running -= 1;
        state.wake_one();
    }
}

impl QueueState {
    fn wake_one(&mut self) {
        if let Some(worker) = self.asleep.pop() {
            worker.unpark();
        }
    }
}

impl SharedQueue {
    /// Releases the lock until this thread is woken, or `most` has passed.
    fn sleep(
        &self,
        mut state: MutexGuard<'_, QueueState>,
        most: Option<Duration>,
    ) -> MutexGuard<'_, QueueState> {
        let me = thread::current();
        state.asleep.push(me.clone());
        drop(state);
        match most {
            Some(most) => thread::park_timeout(most),
            None => thread::park(),
        }
        let mut state = self.lock();
        state.asleep.retain(|other| other.id() != me.id());
        state
    }

    /// A panic does not leave the state inconsistent, so a poisoned lock is ignored.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show_depth(&self, state: &QueueState) {
        self.metrics.queue_depth.set(i64::try_from(state.jobs.len()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests;
