//! The messages of ONNX files, which `build.rs` generates from `proto/onnx.proto`.
#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "written by a program"
)]

include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
