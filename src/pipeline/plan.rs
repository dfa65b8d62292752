//! What a pipeline is made from: its configuration, and what it uses of the process.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::decode::Limits;
use super::preprocess::JpegScaling;
use super::queue::{BatchPlan, Memory, Scores};
use super::run::CoreShare;
use crate::telemetry::ModelMetrics;

/// The configuration of a pipeline.
#[derive(Debug, Clone, Copy)]
pub struct PipelinePlan {
    /// Limits for one upload.
    pub limits: Limits,
    /// Whether large JPEGs are decoded at reduced size.
    pub jpeg_scaling: JpegScaling,
    /// The most images in flight: decoding, queued or running.
    pub queue_capacity: usize,
    /// How batches form.
    pub batch: BatchPlan,
    /// Who decodes.
    pub decoding: Decoding,
    /// A worker that spends longer than this in one batch counts as stuck, and is replaced.
    pub stuck_after: Duration,
}

/// Which threads decode and preprocess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoding {
    /// The worker that runs the image, without a switch of threads.
    Inline,
    /// Threads of their own, so that a GPU does not wait for decoding.
    Dedicated {
        /// How many, at least one.
        threads: usize,
    },
}

/// What a pipeline uses of the process.
#[derive(Debug)]
pub struct Resources {
    /// Memory for uploads and decoded images.
    pub memory: Arc<Memory>,
    /// Access to the cores; `None` for a model on a GPU.
    pub cores: Option<CoreShare>,
    /// Counts the model's work.
    pub metrics: Arc<ModelMetrics>,
}

impl Resources {
    /// All memory and all cores, and metrics that are not exported: for commands and tests.
    #[must_use]
    pub fn unlimited() -> Self {
        let memory = Memory::new(u64::MAX, Arc::default());
        Self { memory, cores: None, metrics: ModelMetrics::unexported() }
    }
}

/// Learns of every image that was classified.
pub trait Observer: std::fmt::Debug + Send + Sync {
    /// The image in `bytes` got `scores`, in a run of `inference`. Must not block.
    fn answered(&self, bytes: &Bytes, scores: &Scores, inference: Duration);
}
