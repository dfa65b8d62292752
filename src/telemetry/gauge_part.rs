//! A gauge with contributions of several pipelines.

use std::sync::atomic::{AtomicI64, Ordering};

use prometheus::IntGauge;

/// One pipeline's contribution to a gauge, whose value is the sum of all contributions. While a version is
/// reloaded, two pipelines have the same series.
#[derive(Debug)]
pub struct GaugePart {
    sum: IntGauge,
    own: AtomicI64,
}

impl GaugePart {
    /// A contribution to `sum`, initially 0.
    pub(super) fn of(sum: IntGauge) -> Self {
        Self { sum, own: AtomicI64::new(0) }
    }

    /// Sets this contribution.
    pub fn set(&self, value: i64) {
        let before = self.own.swap(value, Ordering::Relaxed);
        self.sum.add(value - before);
    }

    /// This contribution.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.own.load(Ordering::Relaxed)
    }
}

impl Drop for GaugePart {
    fn drop(&mut self) {
        self.sum.sub(self.get());
    }
}
