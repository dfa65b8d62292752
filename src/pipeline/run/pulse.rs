//! What a worker is doing, for the watchdog.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a worker is doing.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    state: Mutex<Activity>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Activity {
    #[default]
    Idle,
    /// Processing one batch, since this time.
    Busy(Instant),
    /// Was busy beyond the limit, and another worker has replaced it.
    Replaced,
}

impl Activity {
    fn is_stuck(self, limit: Duration) -> bool {
        matches!(self, Self::Busy(since) if since.elapsed() > limit)
    }
}

/// Whether a worker continues after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Continues,
    /// Another worker has replaced it.
    Replaced,
}

impl Pulse {
    /// Marks the start of a batch.
    pub(super) fn begin(&self) {
        *self.lock() = Activity::Busy(Instant::now());
    }

    /// Marks the end of a batch.
    pub(super) fn end(&self) -> Fate {
        let mut state = self.lock();
        if *state == Activity::Replaced {
            return Fate::Replaced;
        }
        *state = Activity::Idle;
        Fate::Continues
    }

    pub(super) fn is_stuck(&self, limit: Duration) -> bool {
        self.lock().is_stuck(limit)
    }

    /// Marks the worker as replaced, if it is still stuck.
    pub(super) fn replace(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        let stuck = state.is_stuck(limit);
        if stuck {
            *state = Activity::Replaced;
        }
        stuck
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
