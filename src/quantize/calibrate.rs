//! Observes the activations of a network's layers on real images.

use std::collections::BTreeMap;

use super::histogram::{Histogram, Method};
use super::qdq::{Ranges, targets};
use super::range::Range;
use crate::onnx::OnnxModel;
use crate::pipeline::run::{Batch, ProbeRuntime, StartError};

/// Runs the float32 `model` on every batch and chooses the ranges that [`super::quantize`] needs. Calls `ran`
/// after each run: two runs per batch, or one with [`Method::MinMax`].
///
/// # Errors
///
/// [`StartError`].
pub fn calibrate(
    runtime: ProbeRuntime<'_>,
    model: &OnnxModel,
    batches: &[Batch],
    method: Method,
    ran: &dyn Fn(),
) -> Result<Ranges, StartError> {
    let targets = targets(model);
    let probed = model.clone().with_outputs(targets.iter().map(String::as_str));
    let probed = probed.keep_outputs(&targets.iter().map(String::as_str).collect::<Vec<_>>());
    let mut probe = runtime.open(&probed.to_bytes())?;

    let mut ranges = Ranges::new();
    for batch in batches {
        probe.run(batch, |name, values| {
            let (low, high) = ends(values);
            let seen = Range::new(low, high);
            let range = ranges.entry(name.to_owned()).or_insert(seen);
            *range = Range::new(range.low().min(seen.low()), range.high().max(seen.high()));
        })?;
        ran();
    }
    if method == Method::MinMax {
        return Ok(ranges);
    }
    // The bins need the ends of the ranges, so all batches are run a second time; storing the activations
    // would need too much memory.
    let mut histograms: BTreeMap<_, _> =
        ranges.into_iter().map(|(name, range)| (name, Histogram::new(range))).collect();
    for batch in batches {
        probe.run(batch, |name, values| {
            if let Some(histogram) = histograms.get_mut(name) {
                histogram.add(values);
            }
        })?;
        ran();
    }
    Ok(histograms.into_iter().map(|(name, seen)| (name, seen.range(method))).collect())
}

fn ends(values: &[f32]) -> (f32, f32) {
    values.iter().fold((0.0_f32, 0.0_f32), |(low, high), &value| (low.min(value), high.max(value)))
}
