//! The deadline of a request.

use std::time::{Duration, Instant};

/// The deadline of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The moment at which it passes.
    pub at: Instant,
    /// The total time allowed, for messages.
    pub limit: Duration,
}

impl Deadline {
    /// A deadline `limit` from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self { at: Instant::now() + limit, limit }
    }

    /// The same deadline, or `limit` after the same start if that is earlier.
    #[must_use]
    pub fn sooner(&self, limit: Duration) -> Self {
        match self.limit.checked_sub(limit) {
            None => *self,
            Some(less) => Self { at: self.at.checked_sub(less).unwrap_or(self.at), limit },
        }
    }

    /// Whether it has passed at `now`.
    #[must_use]
    pub fn has_passed(&self, now: Instant) -> bool {
        now >= self.at
    }

    /// The time left at `now`.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        self.at.saturating_duration_since(now)
    }
}
