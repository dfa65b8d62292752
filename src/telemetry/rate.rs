//! An exponentially weighted average rate.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time in which the weight of past events decays to 1/e (37 %).
const MEMORY: Duration = Duration::from_secs(10);

/// An exponentially weighted rate.
#[derive(Debug)]
pub struct DecayingRate(Mutex<At>);

/// The rate at a moment.
#[derive(Debug, Clone, Copy)]
struct At {
    per_second: f64,
    moment: Instant,
}

impl At {
    fn later(self, moment: Instant) -> Self {
        let passed = moment.saturating_duration_since(self.moment).as_secs_f64();
        let kept = (-passed / MEMORY.as_secs_f64()).exp();
        Self { per_second: self.per_second * kept, moment }
    }
}

impl Default for DecayingRate {
    fn default() -> Self {
        Self(Mutex::new(At { per_second: 0.0, moment: Instant::now() }))
    }
}

impl DecayingRate {
    /// Adds `amount` at the current time.
    pub fn add(&self, amount: f64) {
        let mut at = self.lock();
        *at = at.later(Instant::now());
        at.per_second += amount / MEMORY.as_secs_f64();
    }

    /// The current rate.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.lock().later(Instant::now()).per_second
    }

    fn lock(&self) -> MutexGuard<'_, At> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_reached_and_decays() {
        let start = Instant::now();
        let mut at = At { per_second: 0.0, moment: start };
        for tick in 1..=1000_u32 {
            at = at.later(start + tick * Duration::from_millis(100));
            at.per_second += 2.0 / MEMORY.as_secs_f64();
        }
        assert!((at.per_second - 20.0).abs() < 0.2, "{at:?} is not about 20 a second");
        let later = at.later(at.moment + 5 * MEMORY);
        assert!(later.per_second < 0.2, "{later:?}");
    }

    #[test]
    fn an_added_amount_increases_the_rate() {
        let rate = DecayingRate::default();
        rate.add(5.0);
        assert!(rate.per_second() > 0.0 && rate.per_second() <= 0.5);
    }
}
