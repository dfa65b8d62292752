//! The server's pipeline without a server, for commands that read files.

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
use crate::pipeline::run::{Library, Pace, WarmSessions};
use crate::pipeline::{Classification, ClassifyError, Pipeline, PipelinePlan, Resources};

/// The time limit of commands that read files: practically none.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

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

/// Refuses `what` for networks of which several classes can be right.
pub(super) fn single_label(card: &ModelCard, what: &str) -> Result<()> {
    ensure!(
        card.task == Task::SingleLabel,
        "{what} does not apply to {}: several of its classes can be right for one image",
        card.name
    );
    Ok(())
}

/// Loads the model and starts its pipeline.
pub(super) fn start(args: &ModelArgs, limits: &LimitArgs) -> Result<Pipeline> {
    let Loaded { model, warm, .. } = load(args, args.concurrency(cores())?)?;
    pipeline(model, warm, args, limits)
}

/// The same, and the digest of the model's graph.
pub(super) fn start_with_digest(
    args: &ModelArgs,
    limits: &LimitArgs,
) -> Result<(Pipeline, String)> {
    let library = Library::load(args.onnxruntime.as_deref())?;
    let (Loaded { model, warm, .. }, digest) =
        load_with(&library, args, args.concurrency(cores())?, Pace::Alone, Model::graph_digest)?;
    Ok((pipeline(model, warm, args, limits)?, digest))
}

/// A pipeline without limits for images and bytes in flight.
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
        stuck_after: PATIENCE,
    };
    let capabilities = Capabilities::of(model.onnx, model.card.labels.len());
    let pipeline = Pipeline::start(model.card, plan, warm.engines, Resources::unlimited())?;
    Ok(pipeline.with_capabilities(capabilities))
}

/// Classifies `uploads` in order, as many at once as keeps the machine busy.
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
    // An example that cannot be read is sent as an empty upload; its error ends the stream below.
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

/// The context of a command that reads files: its time limit never matters.
pub(super) fn context() -> RequestContext {
    RequestContext::local(Deadline::after(PATIENCE))
}

/// The async side of a command that reads files.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}
