//! The quantization noise of each layer.

use std::collections::HashMap;

use serde::Serialize;

use super::qdq::{Ranges, quantize, targets};
use crate::onnx::OnnxModel;
use crate::pipeline::run::{Batch, ProbeRuntime, StartError};

/// The quantization noise of one value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerError {
    /// Its name in the graph.
    pub value: String,
    /// Signal to quantization noise, in decibels: 10 · log₁₀(Σ x² / Σ (x − q)²).
    pub sqnr: f64,
}

/// Compares all values that become uint8, and the logits, of a float32 network and of the same with int8
/// arithmetic over `ranges`, on the same images, in order of execution. The noise of a layer includes that of
/// earlier layers.
///
/// # Errors
///
/// [`StartError`].
pub fn compare(
    runtime: ProbeRuntime<'_>,
    float: &OnnxModel,
    ranges: &Ranges,
    batches: &[Batch],
) -> Result<Vec<LayerError>, StartError> {
    let mut names = targets(float);
    names.push("logits".to_owned());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let float = float.clone().with_outputs(names.iter().copied()).keep_outputs(&names);
    let quantized = quantize(&float, ranges);
    let mut probes = Vec::new();
    for model in [&float, &quantized] {
        probes.push(runtime.open(&model.to_bytes())?);
    }
    let mut sums: HashMap<String, (f64, f64)> = HashMap::new();
    for batch in batches {
        let mut exact = HashMap::new();
        probes[0].run(batch, |name, values| {
            exact.insert(name.to_owned(), values.to_vec());
        })?;
        probes[1].run(batch, |name, values| {
            let (signal, noise) = sums.entry(name.to_owned()).or_default();
            for (exact, value) in exact[name].iter().zip(values) {
                *signal += f64::from(*exact).powi(2);
                *noise += f64::from(exact - value).powi(2);
            }
        })?;
    }
    let decibels = |(signal, noise): (f64, f64)| 10.0 * (signal / noise).log10();
    let layers = names.into_iter().map(|name| (name, sums[name]));
    // Values that stay float32 are equal in both.
    let changed = layers.filter(|(_, (_, noise))| *noise > 0.0);
    Ok(changed
        .map(|(name, sums)| LayerError { value: name.to_owned(), sqnr: decibels(sums) })
        .collect())
}
