//! Decodes and preprocesses an upload, and records facts and times.

use std::time::{Duration, Instant};

use bytes::Bytes;
use prometheus::Histogram;

use super::decode::{self, DecodeError, Header, Image, Watch};
use super::preprocess::{Pixels, Preprocess, Scratch};
use super::queue::{Permit, Rejected};
use super::{ImageFacts, Timings};
use crate::telemetry::ModelMetrics;

/// An uploaded image whose header was inspected.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The file.
    pub bytes: Bytes,
    /// What its header announces.
    pub header: Header,
}

/// Facts about a prepared image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What was uploaded.
    pub image: ImageFacts,
    /// Bytes to an upright image.
    pub decode: Duration,
    /// Image to the network's input.
    pub preprocess: Duration,
}

impl Facts {
    /// As timings, in which the queue and the run are still to be told.
    #[must_use]
    pub fn timings(&self) -> Timings {
        Timings { decode: self.decode, preprocess: self.preprocess, ..Timings::default() }
    }
}

/// Why an upload could not be prepared.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PrepareError {
    /// It is damaged.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// There is no memory for its pixels now.
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

/// The memory and the time that preparing an image may use.
#[derive(Debug, Clone, Copy)]
pub struct Budget<'a> {
    /// Its memory is charged here.
    pub permit: &'a Permit,
    /// Cancels it when its result is not needed any more.
    pub watch: Watch<'a>,
}

/// Decodes and preprocesses `upload`. Its memory is charged to the budget in advance; afterwards
/// the pixels remain charged.
///
/// # Errors
///
/// [`PrepareError`], with nothing held.
pub fn prepare(
    upload: &Upload,
    preprocess: &Preprocess,
    budget: Budget<'_>,
    metrics: &ModelMetrics,
) -> Result<(Pixels, Facts), PrepareError> {
    let make = |decoded: &Image| preprocess.apply(decoded);
    let (pixels, facts) = prepare_with(upload, make, budget, metrics)?;
    budget.permit.grow(pixels.as_bytes().len() as u64)?;
    Ok((pixels, facts))
}

/// The same, into the existing memory `input`: nothing remains charged.
///
/// # Errors
///
/// [`PrepareError`], with nothing held.
pub fn prepare_into(
    input: &mut [u8],
    upload: &Upload,
    (preprocess, scratch): (&Preprocess, &mut Scratch),
    budget: Budget<'_>,
    metrics: &ModelMetrics,
) -> Result<Facts, PrepareError> {
    let make = |decoded: &Image| preprocess.apply_into(decoded, scratch, input);
    prepare_with(upload, make, budget, metrics).map(|((), facts)| facts)
}

/// Decodes `upload`, and has `make` do the rest; then nothing is charged any more.
fn prepare_with<T>(
    upload: &Upload,
    make: impl FnOnce(&Image) -> T,
    Budget { permit, watch }: Budget<'_>,
    metrics: &ModelMetrics,
) -> Result<(T, Facts), PrepareError> {
    let Upload { bytes, header } = upload;
    permit.grow(header.decoded_bytes())?;
    let (decoded, decode) = timed(&metrics.decode_seconds, || decode::decode(bytes, header, watch));
    let decoded = decoded.inspect_err(|error| {
        count_panic(error, metrics);
        permit.shrink_to(0);
    })?;
    let (input, spent) = timed(&metrics.preprocess_seconds, || make(&decoded));
    let [height, width] = decoded.full_size();
    let image = ImageFacts { width, height, format: header.format };
    drop(decoded);
    permit.shrink_to(0);
    Ok((input, Facts { image, decode, preprocess: spent }))
}

/// Counts an image that could not be decoded, where that is the decoder's fault.
pub(super) fn count_panic(error: &DecodeError, metrics: &ModelMetrics) {
    if error.is_panic() {
        metrics.decoder_panics.inc();
    }
}

/// Runs `work` and notes how long it took.
fn timed<T>(histogram: &Histogram, work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let done = work();
    let elapsed = started.elapsed();
    histogram.observe(elapsed.as_secs_f64());
    (done, elapsed)
}
