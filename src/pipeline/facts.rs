//! Facts about one image: its size and format, and the time of each stage.

use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

use super::decode::Format;
use crate::telemetry::spans::SpanIds;

/// The uploaded image: upright, at full size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct ImageFacts {
    /// Width in pixels, after orientation.
    pub width: u32,
    /// Height in pixels, after orientation.
    pub height: u32,
    /// The format, detected from the content.
    pub format: Format,
}

impl ImageFacts {
    /// Height and width.
    #[must_use]
    pub fn size(&self) -> [u32; 2] {
        [self.height, self.width]
    }
}

/// The time of each stage for one image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting for a decoder.
    pub decode_wait: Duration,
    /// Decoding to an upright image.
    pub decode: Duration,
    /// Conversion to the network's input.
    pub preprocess: Duration,
    /// Waiting for a worker.
    pub queue: Duration,
    /// The run of the whole batch.
    pub inference: Duration,
    /// Number of images in the batch.
    pub batch_size: usize,
    /// The span of the batch, if it is traced.
    pub batch: Option<SpanIds>,
    /// When the scores were computed; `None` if no network was run.
    pub ended: Option<Instant>,
}
