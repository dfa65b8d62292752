//! Whether a worker is idle, busy or replaced, for the watchdog, and what it holds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::pipeline::queue::SlowTurn;

/// Whether a worker is idle, busy or replaced; shared with the watchdog.
#[derive(Debug, Default)]
pub(super) struct WorkerState {
    state: Mutex<BatchState>,
    /// The permission to decode a slow image, which a worker that is replaced has to give back.
    slow: Mutex<Option<SlowTurn>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum BatchState {
    #[default]
    Idle,
    /// Processing one batch, since this time.
    Busy(Instant),
    /// Was busy beyond the limit, and another worker has replaced it.
    Replaced,
}

impl BatchState {
    fn is_stuck(self, limit: Duration) -> bool {
        matches!(self, Self::Busy(since) if since.elapsed() > limit)
    }
}

/// Whether a worker continues after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterBatch {
    Continue,
    /// It stops, because another worker has replaced it.
    Stop,
}

impl WorkerState {
    /// Marks the start of a batch; a slow one has its permission.
    pub(super) fn begin(&self, slow: Option<SlowTurn>) {
        *self.lock() = BatchState::Busy(Instant::now());
        *self.lock_slow() = slow;
    }

    /// Marks the end of decoding. After it, a slow image is no different from others.
    pub(super) fn decoded(&self) {
        let slow = self.lock_slow().take();
        drop(slow);
    }

    /// Marks the end of a batch.
    pub(super) fn end(&self) -> AfterBatch {
        let mut state = self.lock();
        if *state == BatchState::Replaced {
            return AfterBatch::Stop;
        }
        *state = BatchState::Idle;
        AfterBatch::Continue
    }

    pub(super) fn is_stuck(&self, limit: Duration) -> bool {
        self.lock().is_stuck(limit)
    }

    /// Marks the worker as replaced, if it is still stuck.
    pub(super) fn replace(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        let stuck = state.is_stuck(limit);
        if stuck {
            *state = BatchState::Replaced;
            drop(state);
            self.decoded();
        }
        stuck
    }

    fn lock_slow(&self) -> MutexGuard<'_, Option<SlowTurn>> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
