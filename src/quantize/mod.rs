//! A float32 network becomes an int8 one: static quantization of our own graphs.
//!
//! ```text
//! model ─► targets ─► calibrate on pictures ─► ranges ─► quantize ─► model with int8 arithmetic
//! ```
//!
//! Activations are uint8 with one scale per value, weights int8 with one per output channel: the
//! pair that CPUs multiply fastest (Jacob et al. 2018, arXiv:1712.05877, on the arithmetic).

mod range; // ends and steps
mod histogram; // which ends are worth their steps
mod calibrate; // what ends real pictures have
mod pixels; // how it begins
mod qdq; // the graph, rewritten
mod report; // what is lost
#[cfg(test)]
mod tests;

pub use calibrate::calibrate;
pub use histogram::{BadMethod, Histogram, Method};
pub use qdq::{Ranges, quantize, targets};
pub use range::{Range, Steps};
pub use report::{LayerError, compare};
