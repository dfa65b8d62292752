//! What a model has done since it was loaded, however it was asked, from the metrics.

use std::time::Duration;

use prometheus::Histogram;

use crate::telemetry::ModelMetrics;
use crate::telemetry::Reason;

/// Counts and durations that mean here what they mean elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statistics {
    /// Images that were answered.
    pub(super) images: u64,
    /// Batches that were run.
    pub(super) runs: u64,
    /// Images that were answered, and the time of all their steps.
    pub(super) success: Span,
    /// Images that were turned away.
    pub(super) fail: Span,
    /// Images that waited for a worker.
    pub(super) queue: Span,
    /// Images that were decoded and preprocessed.
    pub(super) compute_input: Span,
    /// Batches: a run is of several images.
    pub(super) compute_infer: Span,
}

/// How often, and how long in all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) count: u64,
    pub(super) ns: u64,
}

impl Statistics {
    pub(super) fn of(metrics: &ModelMetrics) -> Self {
        let queue = span(&metrics.queue_waits().each_ref());
        let decode = span(&[&metrics.decode_seconds, &metrics.preprocess_seconds]);
        let compute_input = Span { count: metrics.preprocess_seconds.get_sample_count(), ..decode };
        let compute_infer = span(&[&metrics.inference_seconds]);
        let images = metrics.images.get();
        let ns = queue.ns + compute_input.ns + compute_infer.ns;
        let turned_away = Reason::ALL.iter().map(|&reason| metrics.rejected_count(reason)).sum();
        Self {
            images,
            runs: compute_infer.count,
            success: Span { count: images, ns },
            fail: Span { count: turned_away, ns: 0 },
            queue,
            compute_input,
            compute_infer,
        }
    }
}

/// All that `histograms` have seen.
fn span(histograms: &[&Histogram]) -> Span {
    let count = histograms.iter().map(|histogram| histogram.get_sample_count()).sum();
    let seconds: f64 = histograms.iter().map(|histogram| histogram.get_sample_sum()).sum();
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Span { count, ns: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) }
}
