//! What a worker does at the moment, as the watchdog sees it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a worker does at the moment.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    state: Mutex<Activity>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Activity {
    #[default]
    Idle,
    /// Since then, with one batch.
    Busy(Instant),
    /// Busy beyond the limit, and another has its place.
    Replaced,
}

impl Activity {
    fn is_stuck(self, limit: Duration) -> bool {
        matches!(self, Self::Busy(since) if since.elapsed() > limit)
    }
}

/// Whether a worker goes on after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Continues,
    /// Another one has its place.
    Replaced,
}

impl Pulse {
    /// A batch was taken.
    pub(super) fn begin(&self) {
        *self.lock() = Activity::Busy(Instant::now());
    }

    /// It is answered.
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

    /// Marks it as replaced, if it is still stuck.
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
