//! Health of the workers: failed batches and stuck workers.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After this many failed batches in a row the service is not healthy any more.
const FAILURES_UNTIL_UNHEALTHY: u32 = 3;

/// So long after the last failure it may try again: a service that gets no traffic cannot show that
/// it has healed.
const PROBATION: Duration = Duration::from_secs(10);

/// What the workers report. One good run heals failed batches, and so does time; a stuck worker is healed by
/// its replacement.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures_in_a_row: u32,
    last_failure: Option<Instant>,
    stuck_workers: usize,
}

impl Health {
    /// What keeps the service from being ready.
    #[must_use]
    pub fn why_not(&self) -> Option<&'static str> {
        let state = self.lock();
        if state.stuck_workers > 0 {
            return Some("a worker is stuck in one batch");
        }
        let failing = state.failures_in_a_row >= FAILURES_UNTIL_UNHEALTHY
            && state.last_failure.is_some_and(|last| last.elapsed() <= PROBATION);
        failing.then_some("the last batches failed")
    }

    pub(super) fn note_batch(&self, succeeded: bool) {
        let mut state = self.lock();
        if succeeded {
            state.failures_in_a_row = 0;
            state.last_failure = None;
        } else {
            state.failures_in_a_row = state.failures_in_a_row.saturating_add(1);
            state.last_failure = Some(Instant::now());
        }
    }

    /// How many workers are stuck and not replaced.
    pub(super) fn note_stuck(&self, workers: usize) {
        self.lock().stuck_workers = workers;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
