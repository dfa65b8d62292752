//! Pixels wait here, in order and not for ever.
//!
//! [`Admission`] is the one door: it counts images and bytes and refuses before any work is done.
//! [`Queue`] hands [`Job`]s to the workers first in, first out. A [`Ticket`] is the caller's side
//! of a job: dropping it takes the job out of the queue.

mod admission;
mod context;
mod job;
mod pace;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

pub use admission::{Admission, Ceiling, Permit, Rejected};
pub use context::{ClientKey, ClientKeys, Origin, RequestContext};
pub use job::{Answered, Caller, Deadline, Extra, Input, Job, JobError, Scores, Ticket};
pub use pace::Pace;

use crate::telemetry::Metrics;

/// How a worker may fill a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPlan {
    /// The most images in one run, at least 1.
    pub max_batch: usize,
    /// How long the first image may wait for others. Zero: a worker never idles while work waits.
    pub max_wait: Duration,
    /// How many images must wait for each one that a batch takes, at least 1. With 1 a batch takes all
    /// it can. With more, batches are of one image until so many wait that all must wait anyhow: right
    /// where a batch takes about as long as its images one by one, and its first waits for its last.
    pub backlog: usize,
}

impl BatchPlan {
    /// How many of `waiting` images a worker takes while `takers` workers are free, itself included.
    fn share(&self, waiting: usize, takers: usize) -> usize {
        let pressure = (waiting / self.backlog.max(1)).max(1);
        waiting.div_ceil(takers).min(pressure).min(self.max_batch)
    }
}

/// A FIFO of jobs between the async side and the worker threads; clones share it.
#[derive(Debug, Clone)]
pub struct Queue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    /// In order of arrival, so sorted by id.
    jobs: VecDeque<(u64, Job)>,
    next_id: u64,
    /// Workers that want a batch, asleep or not.
    idle_workers: usize,
    /// Those that sleep; the last one wakes first, because its core's cache still has what it needs.
    asleep: Vec<Thread>,
    closed: bool,
}

impl Queue {
    /// An empty, open queue. Its bound is [`Admission`], which every job has passed.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let shared = Shared { state: Mutex::default(), metrics };
        Self { shared: Arc::new(shared) }
    }

    /// Puts `job` at the end.
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
        let id = state.next_id;
        state.next_id += 1;
        state.jobs.push_back((id, job));
        self.shared.show_depth(&state);
        state.wake_one();
        drop(state);
        Ok(Ticket::new(self.clone(), id, answer))
    }

    /// The next batch, 1 to `max_batch` jobs in order of arrival; blocks until there is one.
    ///
    /// With other workers idle too, each takes its share, so that two queued images run side by
    /// side rather than one after the other. `None` once the queue is closed and empty.
    #[must_use]
    pub fn next_batch(&self, plan: BatchPlan) -> Option<Vec<Job>> {
        let mut state = self.shared.lock();
        state.idle_workers += 1;
        loop {
            if let Some(oldest) = state.jobs.front().map(|(_, job)| job.caller().queued_at()) {
                let missing = plan.max_batch.saturating_sub(state.jobs.len());
                let patience = plan.max_wait.saturating_sub(oldest.elapsed());
                if missing == 0 || patience.is_zero() || state.closed {
                    break;
                }
                state = self.shared.sleep(state, Some(patience));
            } else if state.closed {
                state.idle_workers -= 1;
                return None;
            } else {
                state = self.shared.sleep(state, None);
            }
        }
        // A batch that was waited for leaves whole.
        let takers = if plan.max_wait.is_zero() { state.idle_workers } else { 1 };
        let share = plan.share(state.jobs.len(), takers);
        state.idle_workers -= 1;
        let batch = state.jobs.drain(..share).map(|(_, job)| job).collect();
        self.shared.show_depth(&state);
        if !state.jobs.is_empty() {
            state.wake_one();
        }
        Some(batch)
    }

    /// Lets nothing more in; workers run what is queued and then see the end.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        while !state.asleep.is_empty() {
            state.wake_one();
        }
    }

    /// Drops what is queued; each caller is told that the server is draining.
    pub fn abort(&self) {
        self.close();
        let dropped = std::mem::take(&mut self.shared.lock().jobs);
        self.shared.metrics.queue_depth.set(0);
        drop(dropped);
    }

    /// Jobs waiting for a worker.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.shared.lock().jobs.len()
    }

    /// Takes a job whose ticket is gone out of the queue, if no worker has it yet.
    fn forget(&self, id: u64) {
        let mut state = self.shared.lock();
        let Ok(place) = state.jobs.binary_search_by_key(&id, |(id, _)| *id) else {
            return;
        };
        let removed = state.jobs.remove(place);
        self.shared.show_depth(&state);
        drop(state);
        if removed.is_some_and(|(_, job)| !job.caller().deadline().has_passed(Instant::now())) {
            self.shared.metrics.abandoned.inc();
        }
    }
}

impl State {
    fn wake_one(&mut self) {
        if let Some(worker) = self.asleep.pop() {
            worker.unpark();
        }
    }
}

impl Shared {
    /// Lets `state` go until this thread is woken, for whatever reason, or has slept for `most`.
    fn sleep(
        &self,
        mut state: MutexGuard<'_, State>,
        most: Option<Duration>,
    ) -> MutexGuard<'_, State> {
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

    /// A worker that panicked while holding the lock left whole jobs behind: the state is sound.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show_depth(&self, state: &State) {
        self.metrics.queue_depth.set(i64::try_from(state.jobs.len()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests;
