//! Health of the workers: failed batches and stuck workers.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The number of consecutive failed batches after which the service is not ready.
const FAILURES_UNTIL_UNHEALTHY: u32 = 3;

/// Time after the last failure until the service is ready again: without traffic, it could not show that it
/// has recovered.
const PROBATION: Duration = Duration::from_secs(10);

/// State of the workers. A successful run or time resets the failed batches; replacement resets a stuck
/// worker.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<HealthState>,
}

#[derive(Debug, Default)]
struct HealthState {
    failures_in_a_row: u32,
    last_failure: Option<Instant>,
    stuck_workers: usize,
}

impl Health {
    /// The reason why the service is not ready, if it is not.
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

    pub(super) fn batch_succeeded(&self) {
        let mut state = self.lock();
        state.failures_in_a_row = 0;
        state.last_failure = None;
    }

    pub(super) fn batch_failed(&self) {
        let mut state = self.lock();
        state.failures_in_a_row = state.failures_in_a_row.saturating_add(1);
        state.last_failure = Some(Instant::now());
    }

    /// Sets the number of stuck workers that are not replaced yet.
    pub(super) fn note_stuck(&self, workers: usize) {
        self.lock().stuck_workers = workers;
    }

    fn lock(&self) -> MutexGuard<'_, HealthState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
