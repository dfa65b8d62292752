//! Static int8 quantization of the graphs that resnetd builds.
//!
//! ```text
//! model ─► targets ─► calibrate on images ─► ranges ─► quantize ─► model with int8 arithmetic
//! ```
//!
//! Activations are uint8 with one scale per value, weights are int8 with one scale per output channel: CPUs
//! multiply this combination fastest (Jacob et al. 2018, arXiv:1712.05877, describe the arithmetic).

mod range; // a range and its steps
mod histogram; // chooses ranges from histograms
mod calibrate; // observes activations on images
mod pixels; // rewrites the graph's input
mod qdq; // rewrites the rest of the graph
mod report; // the noise of each layer
#[cfg(test)]
mod tests;

pub use calibrate::calibrate;
pub use histogram::{BadMethod, Histogram, Method};
pub use qdq::{Ranges, quantize, targets};
pub use range::{Range, Steps};
pub use report::{LayerError, compare};
