//! A worker thread with its engine: takes a batch, prepares its images, runs it and answers the callers.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::worker_state::{AfterBatch, WorkerState};
use super::{Batch, CoreShare, Health, InputShape, Outputs, RunError};
use crate::model::Preprocess;
use crate::pipeline::Output;
use crate::pipeline::decode::{Image, Watch};
use crate::pipeline::prepare::{Budget, prepare_with};
use crate::pipeline::preprocess::Scratch;
use crate::pipeline::queue::ImageTimings;
use crate::pipeline::queue::{
    BatchPlan, Caller, Extra, Input, Job, JobAnswer, JobError, Jobs, Queue, Scores,
    ServiceTimeEstimate,
};
use crate::telemetry::{ModelMetrics, spans};

/// Maximum time of the run of a batch while other models use the cores. With batches of one image, two models
/// together have 10 % less throughput (`make bench-models`).
const LONGEST_SHARED_BATCH: Duration = Duration::from_millis(60);

/// Runs a batch: a [`Session`](super::Session) in the server, a closure in tests.
pub type Engine = Box<dyn FnMut(&Batch) -> Result<Outputs, RunError> + Send>;

/// What all workers of a model share.
#[derive(Debug, Clone)]
pub struct WorkerPlan {
    /// The queue of jobs.
    pub queue: Queue,
    /// How batches are formed.
    pub batch: BatchPlan,
    /// Preprocessing of images.
    pub preprocess: Preprocess,
    /// Collects service times.
    pub estimate: Arc<ServiceTimeEstimate>,
    /// A worker that is busy with one batch for longer is replaced.
    pub stuck_after: Duration,
    /// The model's access to the cores; `None` on a GPU.
    pub cores: Option<Arc<CoreShare>>,
    /// Records success and failure of batches.
    pub health: Arc<Health>,
    /// The model's metrics.
    pub metrics: Arc<ModelMetrics>,
}

pub(super) struct Worker {
    plan: WorkerPlan,
    state: Arc<WorkerState>,
    engine: Engine,
    batch: Batch,
    scratch: Scratch,
}

impl Worker {
    pub(super) fn new(plan: WorkerPlan, engine: Engine, state: Arc<WorkerState>) -> Self {
        let batch = Batch::with_capacity(InputShape::of(&plan.preprocess), plan.batch.max_batch);
        Self { plan, state, engine, batch, scratch: Scratch::default() }
    }

    /// Runs batches until the queue ends, or until this worker was replaced because it was stuck.
    pub(super) fn work(&mut self) {
        while let Some(Jobs { jobs, slow }) = self.plan.queue.next_batch(self.batch_plan()) {
            let cores = self.plan.cores.clone();
            let permit = cores.as_ref().map(|cores| cores.acquire());
            let waited = permit.as_ref().map_or(Duration::ZERO, |permit| permit.waited);
            self.state.begin(slow);
            let started = Instant::now();
            let jobs = self.drop_unwanted(jobs);
            let slots = self.fill(jobs);
            self.state.decoded();
            if !slots.is_empty() {
                self.run(slots);
            }
            if self.state.end() == AfterBatch::Stop {
                if let Some(permit) = permit {
                    permit.forget();
                }
                return;
            }
            drop(permit);
            self.plan.estimate.worked(waited, started.elapsed());
        }
    }

    /// While several models use the cores, a batch has only as many images as run in [`LONGEST_SHARED_BATCH`]: it
    /// cannot be interrupted, and other models wait for its end.
    fn batch_plan(&self) -> BatchPlan {
        let WorkerPlan { cores, batch, estimate, .. } = &self.plan;
        if !cores.as_ref().is_some_and(|cores| cores.is_contended()) {
            return *batch;
        }
        let images = estimate.rates().images_within(LONGEST_SHARED_BATCH);
        BatchPlan { max_batch: images.min(batch.max_batch), ..*batch }
    }

    /// Answers expired jobs, drops abandoned ones and returns the others.
    fn drop_unwanted(&self, jobs: Vec<Job>) -> Vec<Job> {
        let now = Instant::now();
        let mut wanted = Vec::with_capacity(jobs.len());
        for job in jobs {
            if job.caller().deadline().has_passed(now) {
                job.into_parts().1.answer(Err(JobError::Late));
            } else if job.caller().is_abandoned() {
                self.plan.metrics.abandoned.inc();
            } else {
                wanted.push(job);
            }
        }
        wanted
    }

    /// Adds the images to the batch; uploads are decoded and preprocessed into their slots. If that fails,
    /// the caller is answered here and the other images are not affected.
    fn fill(&mut self, jobs: Vec<Job>) -> Vec<Slot> {
        self.batch.clear();
        let mut slots = Vec::with_capacity(jobs.len());
        for job in jobs {
            let (input, caller) = job.into_parts();
            let queued = caller.queued_at().elapsed();
            match self.take(input, &caller) {
                Ok(facts) => {
                    if let Some(facts) = facts {
                        self.plan.estimate.decoded(caller.announced_decode(), facts.decode);
                    }
                    if let Some(output) = caller.wants() {
                        self.batch.want(output);
                    }
                    slots.push(Slot { caller, facts, queued });
                }
                Err(error) => caller.answer(Err(error)),
            }
        }
        slots
    }

    /// Adds one image to the batch.
    fn take(&mut self, input: Input, caller: &Caller) -> Result<Option<ImageTimings>, JobError> {
        let Worker { plan, batch, scratch, .. } = self;
        let WorkerPlan { preprocess, metrics, estimate, .. } = plan;
        match input {
            Input::Pixels(pixels) => {
                batch.push(&pixels);
                Ok(None)
            }
            Input::Upload(upload) => catch_panic(|| {
                let rates = estimate.rates();
                let stop = |announced| caller.stop(rates.decoding(announced));
                let budget = Budget { permit: caller.permit(), watch: Watch::new(&stop) };
                let facts = batch.fill(|slot| {
                    let apply = |image: &Image| preprocess.apply_into(image, scratch, slot);
                    let ((), facts) = prepare_with(&upload, apply, budget, metrics)?;
                    Ok::<_, JobError>(facts)
                })?;
                Ok(Some(facts))
            }),
        }
    }

    /// Runs the batch, and answers each caller.
    fn run(&mut self, slots: Vec<Slot>) {
        let run_started = Instant::now();
        let mut outcome = self.run_engine();
        let inference = run_started.elapsed();

        let Worker { plan, batch: ran, .. } = self;
        let batch_size = ran.len();
        plan.metrics.batch_size.observe(f64::from(u32::try_from(batch_size).unwrap_or(u32::MAX)));
        plan.metrics.inference_seconds.observe(inference.as_secs_f64());
        match &outcome {
            Ok(_) => {
                plan.health.batch_succeeded();
                plan.estimate.ran(batch_size, inference + resizing(&slots));
            }
            Err(error) => {
                plan.health.batch_failed();
                plan.metrics.failed_batches.inc();
                let request_ids = ids(&slots);
                tracing::error!(batch.size = batch_size, request.ids = request_ids, %error, "batch failed");
            }
        }
        let traced = slots.iter().filter_map(|slot| slot.caller.origin().span.as_deref());
        let batch = spans::batch(traced, batch_size, inference);
        for (number, Slot { caller, facts, queued }) in slots.into_iter().enumerate() {
            let priority = caller.origin().priority.word();
            plan.metrics.queue_wait(priority).observe(queued.as_secs_f64());
            let wants = caller.wants();
            let answer = outcome.as_mut().map_err(|error| error.clone()).and_then(|outputs| {
                let scores = finite_scores(outputs, number)?;
                let extra = wants.map(|output| extra(outputs, output, number));
                Ok(JobAnswer { scores, extra, facts, queued, inference, batch_size, batch })
            });
            if let Err(JobError::NotFinite) = &answer {
                plan.metrics.not_finite.inc();
                let request_id = &*caller.origin().request_id;
                tracing::error!(request.id = request_id, "an image's scores are not finite");
            }
            caller.answer(answer);
        }
    }

    /// A panic becomes the batch's error; the worker continues with the same engine.
    fn run_engine(&mut self) -> Result<Outputs, JobError> {
        let Worker { engine, batch, .. } = self;
        catch_panic(|| engine(batch).map_err(|error| JobError::Runtime(error.to_string())))
    }
}

/// The caller of one image of the batch.
struct Slot {
    caller: Caller,
    facts: Option<ImageTimings>,
    queued: Duration,
}

/// The distinct request ids of a batch, at most 16.
fn ids(slots: &[Slot]) -> String {
    const MAX_IDS: usize = 16;
    let mut ids: Vec<&str> = Vec::new();
    for Slot { caller, .. } in slots {
        let id = &*caller.origin().request_id;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let more = ids.len().saturating_sub(MAX_IDS);
    ids.truncate(MAX_IDS);
    let named = ids.join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

/// Calls `work`, and converts a panic to an error.
fn catch_panic<T>(work: impl FnOnce() -> Result<T, JobError>) -> Result<T, JobError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(JobError::Panicked(panic_message(panic.as_ref()))))
}

/// One image's scores. If they are not finite, only this image fails, not the others of the batch.
fn finite_scores(outputs: &mut Outputs, slot: usize) -> Result<Scores, JobError> {
    let scores = Scores {
        logits: outputs.take(Output::Logits, slot),
        probabilities: outputs.take(Output::Probabilities, slot),
    };
    let finite = scores.logits.iter().chain(&scores.probabilities).all(|score| score.is_finite());
    if finite { Ok(scores) } else { Err(JobError::NotFinite) }
}

/// Total time of preprocessing the images before the run.
fn resizing(slots: &[Slot]) -> Duration {
    slots.iter().filter_map(|slot| slot.facts).map(|facts| facts.preprocess).sum()
}

fn extra(outputs: &mut Outputs, output: Output, slot: usize) -> Extra {
    Extra { shape: outputs.shape(output).to_vec(), values: outputs.take(output, slot) }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|message| (*message).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
