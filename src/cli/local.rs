//! A pipeline without a server: the same one that serves, for commands that read files.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};

use super::load::{Loaded, load};
use crate::config::{LimitArgs, ModelArgs, cores};
use crate::model::Model;
use crate::pipeline::explain::Offers;
use crate::pipeline::queue::{BatchPlan, Ceiling, Deadline};
use crate::pipeline::run::WarmSessions;
use crate::pipeline::{Ask, Classification, ClassifyError, Pipeline, PipelinePlan};
use crate::telemetry::Metrics;

/// Nobody waits at the other end: a slow machine may take its time.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Loads the model and starts its pipeline.
pub(super) fn start(model: &ModelArgs, limits: &LimitArgs) -> Result<Pipeline> {
    let concurrency = model.concurrency(cores())?;
    let Loaded { model, warm, .. } = load(model, concurrency)?;
    pipeline(model, warm, concurrency.max_batch, limits)
}

/// A pipeline that takes all there is.
pub(super) fn pipeline(
    model: Model,
    warm: WarmSessions,
    max_batch: usize,
    limits: &LimitArgs,
) -> Result<Pipeline> {
    let plan = PipelinePlan {
        limits: limits.limits(),
        ceiling: Ceiling { images: usize::MAX, bytes: u64::MAX },
        batch: BatchPlan { max_batch, max_wait: Duration::ZERO },
        decoders: cores(),
    };
    let offers = Offers::of(model.onnx, model.card.labels.len());
    let pipeline = Pipeline::start(model.card, plan, warm.engines, Arc::new(Metrics::new()))?;
    Ok(pipeline.offering(offers))
}

/// Classifies `uploads` in order, as many at once as keeps the machine busy.
pub(super) fn classify_all<'a, T: 'a>(
    pipeline: &'a Pipeline,
    uploads: impl Iterator<Item = (T, Bytes)> + 'a,
    top_k: usize,
) -> impl Stream<Item = (T, Result<Classification, ClassifyError>)> + 'a {
    stream::iter(uploads)
        .map(move |(tag, bytes)| async move { (tag, pipeline.classify(bytes, ask(top_k)).await) })
        .buffered(pipeline.plan().at_once())
}

/// Nobody waits for it: the best `top_k` classes, whenever they are there.
pub(super) fn ask(top_k: usize) -> Ask {
    Ask { top_k, deadline: Deadline::after(PATIENCE) }
}

/// The async side of a command that reads files.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}
