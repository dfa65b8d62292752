//! Configuration of a pipeline, and the resources that it shares with others.

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
    /// Maximum number of images in flight: being decoded, queued or running.
    pub queue_capacity: usize,
    /// How batches are formed.
    pub batch: BatchPlan,
    /// Which threads decode.
    pub decoding: Decoding,
    /// A worker that spends longer than this on one batch is considered stuck, and is replaced.
    pub stuck_after: Duration,
}

/// Which threads decode and preprocess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoding {
    /// The worker that runs the image, without a thread switch.
    Inline,
    /// Other threads than the workers, so that a GPU does not wait for decoding.
    Dedicated {
        /// Number of threads, at least one.
        threads: usize,
    },
}

/// What a pipeline is given: memory and cores, which all pipelines share, and its metrics.
#[derive(Debug)]
pub struct Resources {
    /// Memory for uploads, decoded images, large headers and unsent responses.
    pub memory: Arc<Memory>,
    /// Access to the cores; `None` without a limit: on a GPU, in commands and in tests.
    pub cores: Option<CoreShare>,
    /// Metrics of the model.
    pub metrics: Arc<ModelMetrics>,
}

impl Resources {
    /// No limits for memory and cores, and metrics that are not exported: for commands and tests.
    #[must_use]
    pub fn unlimited() -> Self {
        let memory = Memory::new(u64::MAX, Arc::default());
        Self { memory, cores: None, metrics: ModelMetrics::unexported() }
    }
}

/// Is notified of every uploaded image that the network has scored; not of preprocessed pixels.
pub trait Observer: std::fmt::Debug + Send + Sync {
    /// Called when the image in `bytes` has `scores`; its run took `inference`. Must not block.
    fn answered(&self, bytes: &Bytes, scores: &Scores, inference: Duration);
}
