//! A photo becomes labels: bytes → decode → preprocess → queue → run → top-k.
//!
//! Knows nothing of HTTP: the server, the command line, the evaluation and the tests call it alike.

pub mod decode; // bytes → upright RGB image
pub mod preprocess; // image → exactly the network's input
pub mod prepare; // both, and what they took
pub mod queue; // pixels wait, fairly and not for ever
pub mod run; // batches through ONNX Runtime
pub mod golden; // photos whose scores are known, before anybody is served
pub mod topk; // scores → predictions
pub mod calibrated; // scores → probabilities that mean what they say
pub mod sets; // scores → every class that may be the truth
pub mod rollup; // classes → what they have in common
pub mod beside; // what is told of both
pub mod idle; // freed memory goes back
pub mod explain; // where in the picture a score comes from

mod classification;
mod admit; // images, uploads and answers pass admission control
mod decoders; // decoding beside the workers
mod embed; // bytes → features
mod infer; // bytes or ready pixels → all scores
mod seen; // bytes → what the network saw
mod picture; // pixels → PNG

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

pub use classification::{Classification, ClassifyError, ImageFacts, Timings};
pub use embed::{Embedding, Normalize};
pub use infer::{Beside, Inferred, Source};
pub use seen::{Seen, Steps};

use crate::model::ModelCard;
use crate::telemetry::Metrics;
use decode::{DecodeError, Limits};
use decoders::{Leaving, Prepared};
use explain::Offers;
use prepare::Upload;
use preprocess::JpegScaling;
use queue::{
    Admission, Answered, BatchPlan, Ceiling, Deadline, Input, Job, Permit, Queue, RequestContext,
    Scores, ServiceTimeEstimate, Stages,
};
use rollup::Taxonomy;
use run::{Engines, Health, Output, WorkerPlan, Workers};

/// How a pipeline may use the machine.
#[derive(Debug, Clone, Copy)]
pub struct PipelinePlan {
    /// What an upload may cost.
    pub limits: Limits,
    /// Whether large JPEGs are decoded at a part of their size.
    pub jpeg_scaling: JpegScaling,
    /// What may be inside at once.
    pub ceiling: Ceiling,
    /// How batches are filled.
    pub batch: BatchPlan,
    /// Who decodes.
    pub decoding: Decoding,
    /// A worker that is busy with one batch for longer counts as stuck, and is replaced.
    pub stuck_after: Duration,
}

/// Who makes pixels of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoding {
    /// The worker that runs it: nothing is handed over, and no core has two things to do at a time.
    ByWorkers,
    /// So many uploads at a time on threads beside the workers, so that a GPU never waits for one.
    Beside(usize),
}

/// One model, ready to classify; the threads behind it end with [`Pipeline::finish`].
#[derive(Debug)]
pub struct Pipeline {
    card: Arc<ModelCard>,
    offers: Offers,
    taxonomy: Option<Taxonomy>,
    plan: PipelinePlan,
    admission: Arc<Admission>,
    decoders: Arc<Semaphore>,
    /// How many images of one caller can be of use at the same time.
    at_once: usize,
    queue: Queue,
    estimate: Arc<ServiceTimeEstimate>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    workers: std::sync::Mutex<Option<Workers>>,
}

impl Pipeline {
    /// Starts one worker for each of `engines`, which run the model of `card`.
    ///
    /// # Errors
    ///
    /// Where the system gives no more threads.
    pub fn start(
        card: Arc<ModelCard>,
        plan: PipelinePlan,
        engines: impl Into<Engines>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let engines = engines.into();
        let sessions = engines.ready.len();
        let decoders = match plan.decoding {
            // Whoever prepares pictures beside the workers must leave cores to them.
            Decoding::ByWorkers => (sessions / 2).max(1),
            Decoding::Beside(decoders) => decoders,
        };
        let count = |threads: usize| u32::try_from(threads).unwrap_or(u32::MAX);
        let workers = count(sessions);
        let estimate = Arc::new(ServiceTimeEstimate::new(match plan.decoding {
            Decoding::ByWorkers => Stages::Shared { workers },
            Decoding::Beside(decoders) => Stages::Pipelined { decoders: count(decoders), workers },
        }));
        let health = Arc::new(Health::default());
        let queue = Queue::new(sessions, Arc::clone(&metrics));
        let worker_plan = WorkerPlan {
            queue: queue.clone(),
            batch: plan.batch,
            preprocess: card.preprocess.clone(),
            estimate: Arc::clone(&estimate),
            stuck_after: plan.stuck_after,
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
        };
        // One batch for each worker to run, and as many images waiting as fill the next.
        let waiting = plan.batch.backlog.max(sessions);
        let batches = (sessions + waiting).saturating_mul(plan.batch.max_batch);
        let workers = Workers::start(&worker_plan, engines)?;
        Ok(Self {
            admission: Admission::new(plan.ceiling, Arc::clone(&estimate), Arc::clone(&metrics)),
            decoders: Arc::new(Semaphore::new(decoders)),
            at_once: decoders.max(sessions).saturating_add(batches).min(plan.ceiling.images),
            workers: std::sync::Mutex::new(Some(workers)),
            taxonomy: Taxonomy::of(&card),
            card,
            offers: Offers::nothing(),
            plan,
            queue,
            estimate,
            health,
            metrics,
        })
    }

    /// The same pipeline, whose engines give more than classes.
    #[must_use]
    pub fn offering(self, offers: Offers) -> Self {
        Self { offers, ..self }
    }

    /// One picture's journey, from bytes to classes.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`]: a bad picture, a full house, a passed deadline or a failed run.
    pub async fn classify(
        &self,
        upload: Bytes,
        top_k: usize,
        context: &RequestContext,
    ) -> Result<Classification, ClassifyError> {
        let Travelled { answered, image, timings } =
            self.within(context.deadline, self.travel(upload, context, None)).await?;
        Ok(self.classification(answered.scores, image, timings, top_k))
    }

    fn classification(
        &self,
        scores: Scores,
        image: ImageFacts,
        timings: Timings,
        top_k: usize,
    ) -> Classification {
        let predictions = topk::top_k(&scores.probabilities, &self.card.labels, top_k);
        let (temperature, task) = (self.temperature(), self.card.task);
        Classification { predictions, image, timings, scores, temperature, task }
    }

    /// Ends `journey` at the deadline, and counts why it failed.
    async fn within<T>(
        &self,
        deadline: Deadline,
        journey: impl Future<Output = Result<T, ClassifyError>>,
    ) -> Result<T, ClassifyError> {
        let answer = tokio::time::timeout_at(deadline.at.into(), journey)
            .await
            .unwrap_or_else(|_| Err(ClassifyError::late(deadline, self.predicted_wait())));
        if let Some(reason) = answer.as_ref().err().and_then(ClassifyError::reason) {
            self.metrics.rejected(reason);
        }
        answer
    }

    /// From bytes to what the network says, and to the output that it is asked for beside.
    async fn travel(
        &self,
        bytes: Bytes,
        context: &RequestContext,
        wants: Option<Output>,
    ) -> Result<Travelled, ClassifyError> {
        let header = self.inspect(&bytes)?;
        let permit = self.enter(context, header.decode_time())?;
        let upload = Upload { bytes, header };
        let (input, permit, beside) = match self.plan.decoding {
            Decoding::ByWorkers => (Input::Upload(upload), permit, None),
            Decoding::Beside(_) => {
                let leaving = Leaving { metrics: &self.metrics, deadline: context.deadline };
                let prepared = self.prepare(upload, context.deadline, permit).await;
                leaving.stayed();
                let Prepared { pixels, facts, permit, decode_wait } = prepared?;
                (Input::Pixels(pixels), permit, Some((facts, decode_wait)))
            }
        };
        let answered = self.ask(input, (context, permit), wants).await?;
        let by_worker = answered.facts.map(|facts| (facts, Duration::ZERO));
        let Some((facts, decode_wait)) = beside.or(by_worker) else {
            return Err(ClassifyError::Prepare("a worker told nothing of an upload".to_owned()));
        };
        let timings = Timings {
            decode_wait,
            queue: answered.queued,
            inference: answered.inference,
            batch_size: answered.batch_size,
            ..facts.timings()
        };
        Ok(Travelled { answered, image: facts.image, timings })
    }

    /// Queues `input`, and waits for what the network says of it.
    async fn ask(
        &self,
        input: Input,
        (context, permit): (&RequestContext, Permit),
        wants: Option<Output>,
    ) -> Result<Answered, ClassifyError> {
        let make = |reply| Job::new(input, context.clone(), permit, reply).wanting(wants);
        let ticket = self.queue.submit(make)?;
        let mut answered = ticket.await.map_err(|error| {
            ClassifyError::from_job(error, context.deadline, self.predicted_wait())
        })?;
        answered.scores = self.calibrated(answered.scores);
        self.metrics.images.inc();
        Ok(answered)
    }

    /// Reads the header, and plans to decode no more than the network takes.
    fn inspect(&self, upload: &[u8]) -> Result<decode::Header, DecodeError> {
        let header = decode::inspect(upload, &self.plan.limits)
            .inspect_err(|error| prepare::count_panic(error, &self.metrics))?;
        Ok(self.plan.jpeg_scaling.plan(header, &self.card.preprocess))
    }

    /// The card of the model that is served.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// How many images of one caller can be of use at the same time: enough for every decoder and
    /// every worker to have work, and not the whole queue.
    #[must_use]
    pub fn at_once(&self) -> usize {
        self.at_once
    }

    /// How this pipeline was told to use the machine.
    #[must_use]
    pub fn plan(&self) -> &PipelinePlan {
        &self.plan
    }

    /// How long a request arriving now would wait for its answer.
    #[must_use]
    pub fn predicted_wait(&self) -> Duration {
        self.admission.predicted_wait()
    }

    /// What keeps the pipeline from being ready: failed batches, a stuck worker.
    #[must_use]
    pub fn why_not_ready(&self) -> Option<&'static str> {
        self.health.why_not()
    }

    /// Lets nothing more in and answers what is queued with [`Rejected::Draining`](queue::Rejected::Draining).
    pub fn abort(&self) {
        self.queue.abort();
    }

    /// Lets nothing more in, runs what is queued, and waits for the workers, at most `patience`;
    /// then drops what is left. True where nothing had to be dropped.
    pub async fn finish(&self, patience: Duration) -> bool {
        self.queue.close();
        let workers = self.workers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(workers) = workers else { return true };
        let joined = tokio::task::spawn_blocking(move || workers.join());
        let in_time = tokio::time::timeout(patience, joined).await.is_ok();
        if !in_time {
            self.queue.abort();
        }
        in_time
    }
}

/// What the network said of one image.
struct Travelled {
    answered: Answered,
    image: ImageFacts,
    timings: Timings,
}
