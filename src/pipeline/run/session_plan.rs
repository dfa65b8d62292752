//! How a session runs.

use crate::device::Device;

/// Device and threads of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPlan {
    /// Device on which it runs.
    pub device: Device,
    /// Threads of one run, at least 1.
    pub threads: usize,
    /// Whether a GPU replays runs from CUDA graphs.
    pub cuda_graphs: bool,
}

impl SessionPlan {
    /// A plan for the CPU with this number of threads.
    #[must_use]
    pub const fn on_cpu(threads: usize) -> Self {
        Self { device: Device::Cpu, threads, cuda_graphs: false }
    }
}
