//! resnetd classifies images over HTTP.

pub mod graph;
pub mod weights;
pub mod onnx;
pub mod model;
pub mod pipeline;
pub mod http;
pub mod eval;
pub mod telemetry;
pub mod config;
pub mod cli;
