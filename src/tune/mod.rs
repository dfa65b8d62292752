//! Which sessions, threads and batches serve a model fastest on this machine: measured, not guessed.
//!
//! [`candidates`] are what could be fastest; [`Race`] measures them in turns, so that a machine that
//! drifts slows them all, and drops those that cannot win any more; [`trial`] is one measurement.

mod candidate; // settings to measure
mod race; // rounds of measurements, with fewer candidates each
mod trial; // measures one candidate
mod plot; // the results as an SVG

pub use candidate::{Candidate, candidates, candidates_on_gpu};
pub use plot::svg;
pub use race::{Certainty, Goal, Race, Standing};
pub use trial::{Trial, trial};
