//! The machine's limit: decodes, preprocesses and classifies the same photos without server and queue.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;

use super::{LoadResults, Outcome, RunTimes};
use crate::model::Preprocess;
use crate::pipeline::decode::{self, DecodeError, Limits};
use crate::pipeline::preprocess::{JpegScaling, Scratch};
use crate::pipeline::run::{Batch, Engine, InputShape, RunError};

/// How a photo becomes the network's input.
#[derive(Debug, Clone, Copy)]
pub struct Preparation<'a> {
    /// The model's preprocessing.
    pub preprocess: &'a Preprocess,
    /// Limits of the decoder.
    pub limits: &'a Limits,
    /// Whether JPEGs are decoded at a reduced size.
    pub scaling: JpegScaling,
}

/// Why the limit cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// A photo cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The network cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A bug in decoding or preprocessing.
    #[error("a thread panicked")]
    Panicked,
}

/// Decodes, preprocesses and runs `photos` in a cycle, on one thread for each of `engines`.
///
/// # Errors
///
/// [`LimitError`].
pub fn limit(
    engines: Vec<Engine>,
    Preparation { preprocess, limits, scaling }: Preparation<'_>,
    photos: &[Bytes],
    times: RunTimes,
) -> Result<LoadResults, LimitError> {
    let number = AtomicUsize::new(0);
    let started = Instant::now();
    let work = |mut engine: Engine| -> Result<Vec<_>, LimitError> {
        let mut batch = Batch::with_capacity(InputShape::of(preprocess), 1);
        let mut scratch = Scratch::default();
        let mut latencies = Vec::new();
        loop {
            let due = started.elapsed();
            if due >= times.total() {
                return Ok(latencies);
            }
            let photo = &photos[number.fetch_add(1, Ordering::Relaxed) % photos.len()];
            let header = scaling.plan(decode::inspect(photo, limits)?, preprocess);
            let image = decode::decode(photo, &header, decode::Watch::never())?;
            batch.clear();
            batch.fill(|slot| {
                preprocess.apply_into(&image, &mut scratch, slot);
                Ok::<_, LimitError>(())
            })?;
            engine(&batch)?;
            latencies.push((due, started.elapsed().saturating_sub(due)));
        }
    };
    let mut measured = LoadResults::new(times);
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            engines.into_iter().map(|engine| scope.spawn(|| work(engine))).collect();
        for thread in threads {
            let times = thread.join().map_err(|_| LimitError::Panicked)??;
            for (due, latency) in times {
                measured.add(due, latency, Outcome::Good);
            }
        }
        Ok(measured)
    })
}
