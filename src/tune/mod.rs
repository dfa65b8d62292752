//! Measures which sessions, threads and batches serve a model fastest on this machine.
//!
//! [`candidates`] lists the settings to measure. They are measured in turns, so that a machine whose speed drifts
//! affects all of them. [`fn@trial`] is one measurement. [`Race`] keeps the measurements, and drops candidates that are
//! too slow.

mod goal; // what to optimise
mod candidate; // settings to measure
mod race; // rounds of measurements, with fewer candidates each
mod trial; // measures one candidate
mod plot; // the results as an SVG

pub use candidate::{Candidate, candidates, candidates_on_gpu};
pub use goal::Goal;
pub use plot::svg;
pub use race::{Certainty, Race, Standing};
pub use trial::{Trial, trial};
