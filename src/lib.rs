//! resnetd classifies images over HTTP: a photo in, its classes out.
//!
//! Two rivers that meet once, in [`pipeline::run`]:
//!
//! ```text
//! start-up   row ─► Network ─► (weights checked, norms folded) ─► ONNX bytes ─► Session
//! request    bytes ─► Image ─► Pixels ─► Job ─► Batch ─► Outputs ─► predictions ─► JSON
//! ```
//!
//! `ARCHITECTURE.md` walks through both, file by file.

pub mod graph; // build river: a row becomes a network, a network becomes ONNX
pub mod weights; // its tensors, by name
pub mod onnx; // the file format
pub mod model; // a card and a graph as one thing
pub mod hub; // models that others have put up
pub mod pipeline; // request river: bytes become classes
pub mod quantize; // float32 networks become int8
pub mod fetch; // images that are named by URL
pub mod http; // the wire
pub mod eval; // accuracy on labelled images
pub mod bench; // load, and the machine's limit
pub mod tune; // the fastest way to serve a model here
pub mod telemetry; // what operators see
mod installed; // where files of the program lie
pub mod config; // options
pub mod cli; // commands
