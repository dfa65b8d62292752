//! The server's pipeline for commands that read files.

use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures_util::pin_mut;
use futures_util::stream::{self, Stream, StreamExt};

use super::load::{Loaded, load, load_with};
use crate::config::{LimitArgs, ModelArgs, cores};
use crate::eval::{Dataset, DatasetError, Example};
use crate::model::{Model, ModelCard, Task};
use crate::pipeline::explain::Capabilities;
use crate::pipeline::queue::{Deadline, RequestContext};
use crate::pipeline::run::{Library, LoadPriority, WarmSessions};
use crate::pipeline::{Classification, ClassifyError, Pipeline, PipelinePlan, Resources};

/// Time limit of such commands: practically none.
const UNLIMITED: Duration = Duration::from_secs(24 * 60 * 60);

/// Options of every command that measures a model.
#[derive(Debug, clap::Args)]
pub(super) struct MeasureArgs {
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) model: ModelArgs,

    #[command(flatten)]
    pub(super) limits: LimitArgs,
}

/// Rejects `what` for multi-label networks.
pub(super) fn single_label(card: &ModelCard, what: &str) -> Result<()> {
    ensure!(
        card.task == Task::SingleLabel,
        "{what} does not apply to {}, which is a multi-label network",
        card.name
    );
    Ok(())
}

/// Loads the model and starts its pipeline.
pub(super) fn start(args: &ModelArgs, limits: &LimitArgs) -> Result<Pipeline> {
    let Loaded { model, warm, .. } = load(args, args.concurrency(cores())?)?;
    pipeline(model, warm, args, limits)
}

/// The same; also returns the digest of the model's graph.
pub(super) fn start_with_digest(
    args: &ModelArgs,
    limits: &LimitArgs,
) -> Result<(Pipeline, String)> {
    let library = Library::load(args.onnxruntime.as_deref())?;
    let (Loaded { model, warm, .. }, digest) = load_with(
        &library,
        args,
        args.concurrency(cores())?,
        LoadPriority::Alone,
        Model::graph_digest,
    )?;
    Ok((pipeline(model, warm, args, limits)?, digest))
}

/// Starts a pipeline without limits for images and bytes in flight.
pub(super) fn pipeline(
    model: Model,
    warm: WarmSessions,
    args: &ModelArgs,
    limits: &LimitArgs,
) -> Result<Pipeline> {
    let concurrency = args.concurrency(cores())?;
    let plan = PipelinePlan {
        limits: limits.limits(),
        jpeg_scaling: args.jpeg_scaling,
        queue_capacity: usize::MAX,
        batch: concurrency.batch(warm.device, Duration::ZERO),
        decoding: concurrency.decoding(warm.device),
        stuck_after: UNLIMITED,
    };
    let capabilities = Capabilities::of(model.onnx, model.card.labels.len());
    let pipeline = Pipeline::start(model.card, plan, warm.engines, Resources::unlimited())?;
    Ok(pipeline.with_capabilities(capabilities))
}

/// Classifies `uploads` in order, with as many in flight as keep the machine busy.
pub(super) fn classify_all<'a, T: 'a>(
    pipeline: &'a Pipeline,
    uploads: impl Iterator<Item = (T, Bytes)> + 'a,
) -> impl Stream<Item = (T, Result<Classification, ClassifyError>)> + 'a {
    stream::iter(uploads)
        .map(move |(tag, bytes)| async move { (tag, pipeline.classify(bytes, &context()).await) })
        .buffered(pipeline.at_once())
}

/// Classifies labelled images in order, and calls `each` with the true class and the answer.
pub(super) async fn classify_labelled(
    pipeline: &Pipeline,
    dataset: Dataset,
    mut each: impl FnMut(usize, Result<Classification, ClassifyError>),
) -> Result<(), DatasetError> {
    // An example that cannot be read is sent as an empty upload; its error ends the loop below.
    let uploads = dataset.examples(&pipeline.card().labels)?.map(|example| match example {
        Ok(Example { bytes, truth }) => (Ok(truth), bytes),
        Err(error) => (Err(error), Bytes::new()),
    });
    let answers = classify_all(pipeline, uploads);
    pin_mut!(answers);
    while let Some((truth, answer)) = answers.next().await {
        each(truth?, answer);
    }
    Ok(())
}

/// The context of commands that read files, with practically no time limit.
pub(super) fn context() -> RequestContext {
    RequestContext::local(Deadline::after(UNLIMITED))
}

/// The async runtime of commands that read files.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}
