//! resnetd classifies images over HTTP.
//!
//! Two data flows, which meet in [`pipeline::run`]:
//!
//! ```text
//! start-up   row ─► Network ─► (weights checked, norms folded) ─► ONNX bytes ─► Session
//! request    bytes ─► Job ─► (Image ─► Pixels) ─► Batch ─► Outputs ─► predictions ─► JSON
//! ```
//!
//! `ARCHITECTURE.md` describes both, file by file.

// Each module uses only those above it.
pub mod onnx; // the ONNX file format
pub mod weights; // weight files
pub mod graph; // architectures, and their ONNX graphs
pub mod device; // the CPU or a GPU
mod digest; // hashes as hexadecimal digits
mod installed; // files that are installed with the program
mod svg; // the page of a plot
pub mod model; // a card and a graph
pub mod kernels; // int8 convolutions
pub mod fetch; // images by URL
pub mod hub; // models of the Hugging Face hub
pub mod telemetry; // logs, metrics and traces
pub mod pipeline; // from an image's bytes to its classes
pub mod registry; // the models of a server, by name and version
pub mod quantize; // int8 quantization
pub mod http; // the HTTP server
pub mod eval; // accuracy on labelled images
pub mod bench; // load generator, and the machine's limit
pub mod tune; // the fastest settings for a machine
pub mod config; // options and configuration
pub mod cli; // commands
