//! resnetd classifies images over HTTP.

pub mod graph;
pub mod weights;
pub mod onnx;
pub mod pipeline;
