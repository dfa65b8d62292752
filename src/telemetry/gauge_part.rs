//! A gauge that several pipelines add to.

use std::sync::atomic::{AtomicI64, Ordering};

use prometheus::IntGauge;

/// One pipeline's part of a gauge whose value is the sum of all parts. While a version is replaced by one of
/// the same number, two pipelines have the same series.
#[derive(Debug)]
pub struct GaugePart {
    sum: IntGauge,
    own: AtomicI64,
}

impl GaugePart {
    /// A part of `sum`, 0 until it is set.
    pub(super) fn of(sum: IntGauge) -> Self {
        Self { sum, own: AtomicI64::new(0) }
    }

    /// Sets this part.
    pub fn set(&self, value: i64) {
        let before = self.own.swap(value, Ordering::Relaxed);
        self.sum.add(value - before);
    }

    /// The value of this part alone.
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
