//! The machine's limit: decodes, preprocesses and runs the same photos without server and queue.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;

use super::{Measured, Outcome, Window};
use crate::model::Preprocess;
use crate::pipeline::decode::{self, Limits};
use crate::pipeline::preprocess::{JpegScaling, Scratch};
use crate::pipeline::run::{Batch, Engine, InputShape};

/// Each of `engines` on a thread of its own, one photo after the other.
///
/// # Errors
///
/// A photo that cannot be decoded, or a failed run.
pub fn limit(
    engines: Vec<Engine>,
    (preprocess, limits, scaling): (&Preprocess, &Limits, JpegScaling),
    photos: &[Bytes],
    window: Window,
) -> Result<Measured> {
    let number = AtomicUsize::new(0);
    let started = Instant::now();
    let work = |mut engine: Engine| -> Result<Vec<_>> {
        let mut batch = Batch::with_capacity(InputShape::of(preprocess), 1);
        let mut scratch = Scratch::default();
        let mut times = Vec::new();
        loop {
            let due = started.elapsed();
            if due >= window.total() {
                return Ok(times);
            }
            let photo = &photos[number.fetch_add(1, Ordering::Relaxed) % photos.len()];
            let header = scaling.plan(decode::inspect(photo, limits)?, preprocess);
            let image = decode::decode(photo, &header, decode::Watch::never())?;
            batch.clear();
            batch.fill(|slot| {
                preprocess.apply_into(&image, &mut scratch, slot);
                anyhow::Ok(())
            })?;
            engine(&batch)?;
            times.push((due, started.elapsed().saturating_sub(due)));
        }
    };
    let mut measured = Measured::new(window);
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            engines.into_iter().map(|engine| scope.spawn(|| work(engine))).collect();
        for thread in threads {
            let times = thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
            for (due, latency) in times {
                measured.add(due, latency, Outcome::Good);
            }
        }
        Ok(measured)
    })
}
