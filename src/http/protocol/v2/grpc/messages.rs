//! The messages and the service, which `build.rs` generates from `inference.proto`.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::pedantic,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "written by a program"
)]

include!(concat!(env!("OUT_DIR"), "/inference.rs"));

/// The same for reflection, a serialised `FileDescriptorSet`.
pub(super) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/inference.bin"));
