//! Decodes and preprocesses an upload, and records facts and times.

use std::time::{Duration, Instant};

use prometheus::Histogram;

use super::ImageFacts;
use super::decode::{self, DecodeError, Image, Watch};
use super::preprocess::Pixels;
use super::queue::{ImageTimings, Permit, PrepareError, Upload};
use crate::model::Preprocess;
use crate::telemetry::ModelMetrics;

/// Memory and time limits for preparing an image.
#[derive(Debug, Clone, Copy)]
pub struct Budget<'a> {
    /// The image's memory is charged to this permit.
    pub permit: &'a Permit,
    /// Cancels the work when its result is not needed.
    pub watch: Watch<'a>,
}

/// Decodes and preprocesses `upload`. Its memory is charged to the budget in advance; afterwards
/// the pixels remain charged.
///
/// # Errors
///
/// [`PrepareError`]; nothing remains charged.
pub fn prepare(
    upload: &Upload,
    preprocess: &Preprocess,
    budget: Budget<'_>,
    metrics: &ModelMetrics,
) -> Result<(Pixels, ImageTimings), PrepareError> {
    let (pixels, facts) = prepare_with(upload, |image| preprocess.apply(image), budget, metrics)?;
    budget.permit.grow(pixels.as_bytes().len() as u64)?;
    Ok((pixels, facts))
}

/// Decodes `upload` and preprocesses the image with `apply`. Nothing remains charged.
///
/// # Errors
///
/// [`PrepareError`]; nothing remains charged.
pub(super) fn prepare_with<T>(
    upload: &Upload,
    apply: impl FnOnce(&Image) -> T,
    Budget { permit, watch }: Budget<'_>,
    metrics: &ModelMetrics,
) -> Result<(T, ImageTimings), PrepareError> {
    let Upload { bytes, header } = upload;
    permit.grow(header.decoded_bytes())?;
    let (decoded, decode) = timed(&metrics.decode_seconds, || decode::decode(bytes, header, watch));
    let decoded = decoded.inspect_err(|error| {
        count_panic(error, metrics);
        permit.shrink_to(0);
    })?;
    let (input, spent) = timed(&metrics.preprocess_seconds, || apply(&decoded));
    let [height, width] = decoded.full_size();
    let image = ImageFacts { width, height, format: header.format };
    drop(decoded);
    permit.shrink_to(0);
    Ok((input, ImageTimings { image, decode, preprocess: spent }))
}

/// Counts an image on which the decoder panicked.
pub(super) fn count_panic(error: &DecodeError, metrics: &ModelMetrics) {
    if error.is_panic() {
        metrics.decoder_panics.inc();
    }
}

/// Runs `work` and records its time.
fn timed<T>(histogram: &Histogram, work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let done = work();
    let elapsed = started.elapsed();
    histogram.observe(elapsed.as_secs_f64());
    (done, elapsed)
}
