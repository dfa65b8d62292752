//! Classification of one image: bytes → decode → preprocess → queue → run → top-k.
//!
//! Independent of HTTP: the server, the commands and the tests use it in the same way.

pub mod decode; // bytes → upright RGB image
pub mod preprocess; // image → exactly the network's input
pub mod prepare; // both, with their times
pub mod queue; // admission control and fair queueing
pub mod run; // batches through ONNX Runtime
pub mod golden; // checks a card's golden photos at start
pub mod topk; // scores → predictions
pub mod calibrated; // temperature scaling
pub mod classes; // classes by name
pub mod sets; // conformal prediction sets
pub mod rollup; // probabilities of wider classes
pub mod beside; // prediction sets and roll-ups of an answer
pub mod idle; // returns freed memory when idle
pub mod explain; // class activation maps

mod classification;
mod admit; // admission control of images, uploads and responses
mod decoders; // dedicated decoder threads
mod embed; // bytes → embedding
mod infer; // bytes or preprocessed pixels → all scores
mod seen; // bytes → the network's input
mod picture; // PNG encoding
mod plan; // what a pipeline is made from

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Semaphore;

pub use classification::{Classification, ClassifyError, ImageFacts, Timings};
pub use embed::{Embedding, Normalize};
pub use infer::{Beside, Inferred, Source};
pub use plan::{Decoding, Observer, PipelinePlan, Resources};
pub use seen::{Seen, Steps};

use crate::model::ModelCard;
use crate::telemetry::ModelMetrics;
use classes::ClassIndex;
use decode::DecodeError;
use decoders::{Leaving, Prepared};
use explain::Offers;
use prepare::Upload;
use queue::{
    Admission, Answered, Deadline, Input, Job, Permit, Queue, RequestContext, Scores,
    ServiceTimeEstimate, Stages,
};
use rollup::Taxonomy;
use run::{Engines, Health, Output, WorkerPlan, Workers};

/// One model, ready to classify; the threads behind it end with [`Pipeline::finish`].
#[derive(Debug)]
pub struct Pipeline {
    card: Arc<ModelCard>,
    offers: Offers,
    classes: ClassIndex,
    taxonomy: Option<Taxonomy>,
    plan: PipelinePlan,
    admission: Arc<Admission>,
    decoders: Arc<Semaphore>,
    /// How many images of one caller can be of use at the same time.
    at_once: usize,
    queue: Queue,
    estimate: Arc<ServiceTimeEstimate>,
    health: Arc<Health>,
    metrics: Arc<ModelMetrics>,
    workers: std::sync::Mutex<Option<Workers>>,
    observer: RwLock<Option<Arc<dyn Observer>>>,
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
        resources: Resources,
    ) -> std::io::Result<Self> {
        let Resources { memory, cores, metrics } = resources;
        let engines = engines.into();
        let sessions = engines.ready.len();
        let decoders = match plan.decoding {
            // Dedicated decoders must leave cores to the workers.
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
            cores: cores.map(Arc::new),
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
        };
        // One running batch for each worker, and one more that is waiting.
        let waiting = plan.batch.backlog.max(sessions);
        let batches = (sessions + waiting).saturating_mul(plan.batch.max_batch);
        let workers = Workers::start(&worker_plan, engines)?;
        Ok(Self {
            admission: Admission::new(
                plan.queue_capacity,
                memory,
                Arc::clone(&estimate),
                Arc::clone(&metrics),
            ),
            classes: ClassIndex::of(&card.labels),
            decoders: Arc::new(Semaphore::new(decoders)),
            at_once: decoders.max(sessions).saturating_add(batches).min(plan.queue_capacity),
            workers: std::sync::Mutex::new(Some(workers)),
            observer: RwLock::default(),
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

    /// The same pipeline, with the additional outputs that its engines support.
    #[must_use]
    pub fn offering(mut self, offers: Offers) -> Self {
        self.offers = offers;
        self
    }

    /// Classifies one image, from bytes to classes.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`]: an invalid image, a rejection, a passed deadline or a failed run.
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

    /// Runs `journey` until the deadline, and counts failures.
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

    /// From bytes to the network's scores, and an additional output if requested.
    async fn travel(
        &self,
        bytes: Bytes,
        context: &RequestContext,
        wants: Option<Output>,
    ) -> Result<Travelled, ClassifyError> {
        let header = self.inspect(&bytes)?;
        let permit = self.enter(context, header.decode_time())?;
        let observer = self.observer.read().unwrap_or_else(PoisonError::into_inner).clone();
        let compared = observer.map(|observer| (observer, bytes.clone()));
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
        if let Some((observer, bytes)) = compared {
            observer.answered(&bytes, &answered.scores, answered.inference);
        }
        let by_worker = answered.facts.map(|facts| (facts, Duration::ZERO));
        let Some((facts, decode_wait)) = beside.or(by_worker) else {
            return Err(ClassifyError::Prepare("a worker told nothing of an upload".to_owned()));
        };
        let timings = Timings {
            decode_wait,
            queue: answered.queued,
            inference: answered.inference,
            batch_size: answered.batch_size,
            ended: Some(Instant::now()),
            ..facts.timings()
        };
        Ok(Travelled { answered, image: facts.image, timings })
    }

    /// Queues `input` and waits for its scores.
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

    /// The model's card.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// The model's classes by name.
    #[must_use]
    pub fn classes(&self) -> &ClassIndex {
        &self.classes
    }

    /// What the model has done.
    #[must_use]
    pub fn metrics(&self) -> &Arc<ModelMetrics> {
        &self.metrics
    }

    /// Sets who learns of classified images.
    pub fn observe(&self, observer: Option<Arc<dyn Observer>>) {
        *self.observer.write().unwrap_or_else(PoisonError::into_inner) = observer;
    }

    /// Images decoding, queued or running now.
    #[must_use]
    pub fn images_in_flight(&self) -> usize {
        self.admission.images()
    }

    /// The number of images that one caller should have in flight: enough to keep all decoders and
    /// workers busy, without filling the queue.
    #[must_use]
    pub fn at_once(&self) -> usize {
        self.at_once
    }

    /// The configuration of this pipeline.
    #[must_use]
    pub fn plan(&self) -> &PipelinePlan {
        &self.plan
    }

    /// How long a request arriving now would wait for its answer.
    #[must_use]
    pub fn predicted_wait(&self) -> Duration {
        self.admission.predicted_wait()
    }

    /// Why the pipeline is not ready, if it is not: failed batches or a stuck worker.
    #[must_use]
    pub fn why_not_ready(&self) -> Option<&'static str> {
        self.health.why_not()
    }

    /// Closes the queue and answers queued images with
    /// [`Rejected::Draining`](queue::Rejected::Draining).
    pub fn abort(&self) {
        self.queue.abort();
    }

    /// Closes the queue, runs the queued images, and waits for the workers.
    pub fn join(&self) {
        if let Some(workers) = self.close() {
            workers.join();
        }
    }

    /// Closes the queue, and hands out the workers, the first time.
    fn close(&self) -> Option<Workers> {
        self.queue.close();
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Closes the queue, runs the queued images, and waits for the workers, at most `patience`;
    /// then drops the rest. True if nothing had to be dropped.
    pub async fn finish(&self, patience: Duration) -> bool {
        let Some(workers) = self.close() else { return true };
        let joined = tokio::task::spawn_blocking(move || workers.join());
        let in_time = tokio::time::timeout(patience, joined).await.is_ok();
        if !in_time {
            self.queue.abort();
        }
        in_time
    }
}

/// The workers run what is queued, and end.
impl Drop for Pipeline {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// What the network said of one image.
struct Travelled {
    answered: Answered,
    image: ImageFacts,
    timings: Timings,
}
