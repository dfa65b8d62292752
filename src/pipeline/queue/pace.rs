//! How fast images are served, measured; from it come predicted waits and `Retry-After`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Moving averages of the time one image takes in each of the two stages.
///
/// An image passes the stages one after the other, many images at once, so the slower stage sets
/// the pace: seconds per image are the larger of (prepare / preparers) and (run / workers).
#[derive(Debug)]
pub struct Pace {
    prepare_nanos: AtomicU64,
    run_nanos: AtomicU64,
    preparers: u32,
    workers: u32,
}

impl Pace {
    /// No measurement yet: every predicted wait is 0.
    #[must_use]
    pub fn new(preparers: usize, workers: usize) -> Self {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).max(1);
        Self {
            prepare_nanos: AtomicU64::new(0),
            run_nanos: AtomicU64::new(0),
            preparers: count(preparers),
            workers: count(workers),
        }
    }

    /// One image was decoded and preprocessed in `elapsed`.
    pub fn prepared(&self, elapsed: Duration) {
        blend(&self.prepare_nanos, elapsed);
    }

    /// A worker ran `images` images in `elapsed`.
    pub fn ran(&self, images: usize, elapsed: Duration) {
        blend(&self.run_nanos, elapsed / u32::try_from(images).unwrap_or(u32::MAX).max(1));
    }

    /// How long the last of `images` images admitted now would take to be answered.
    #[must_use]
    pub fn wait_behind(&self, images: usize) -> Duration {
        let prepare = Duration::from_nanos(self.prepare_nanos.load(Ordering::Relaxed));
        let run = Duration::from_nanos(self.run_nanos.load(Ordering::Relaxed));
        let per_image = (prepare / self.preparers).max(run / self.workers);
        per_image.saturating_mul(u32::try_from(images).unwrap_or(u32::MAX))
    }
}

/// An eighth of the new value, seven eighths of the old: steady over a few dozen images. The first
/// value counts whole. Two threads that blend at once may lose one sample, which does no harm.
fn blend(average: &AtomicU64, sample: Duration) {
    let sample = u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX);
    let old = average.load(Ordering::Relaxed);
    let new = if old == 0 { sample } else { old - old / 8 + sample / 8 };
    average.store(new, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_stage_sets_the_pace() {
        let pace = Pace::new(2, 2);
        assert_eq!(pace.wait_behind(10), Duration::ZERO, "nothing measured, nothing claimed");
        pace.prepared(Duration::from_millis(8));
        pace.ran(4, Duration::from_millis(80));
        assert_eq!(pace.wait_behind(10), Duration::from_millis(100));
        pace.prepared(Duration::from_millis(808));
        assert_eq!(pace.wait_behind(1), Duration::from_millis(54));
    }
}
