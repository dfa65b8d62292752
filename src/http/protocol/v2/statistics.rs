//! Statistics of a model since it was loaded, for requests in all protocols, from the metrics.

use std::time::Duration;

use prometheus::Histogram;

use crate::telemetry::ModelMetrics;
use crate::telemetry::Reason;

/// Counts and durations with names as in Triton, but by image instead of by request; `fail` has rejected images only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statistics {
    /// Images that were answered.
    pub(super) images: u64,
    /// Batches that were run.
    pub(super) runs: u64,
    /// Answered images, and the time of all their steps.
    pub(super) success: Span,
    /// Rejected images.
    pub(super) fail: Span,
    /// Waiting for a worker, by image.
    pub(super) queue: Span,
    /// Decoding and preprocessing, by image.
    pub(super) compute_input: Span,
    /// Inference, by batch.
    pub(super) compute_infer: Span,
}

/// A count and a total duration.
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

/// The sums of `histograms`.
fn span(histograms: &[&Histogram]) -> Span {
    let count = histograms.iter().map(|histogram| histogram.get_sample_count()).sum();
    let seconds: f64 = histograms.iter().map(|histogram| histogram.get_sample_sum()).sum();
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Span { count, ns: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) }
}
