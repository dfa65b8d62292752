//! One thread, one engine: take a batch, run it, answer it, survive.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Batch, InputShape, Output, Outputs, RunError};
use crate::pipeline::decode::Watch;
use crate::pipeline::prepare::{Budget, Facts, prepare_into};
use crate::pipeline::preprocess::{Preprocess, Scratch};
use crate::pipeline::queue::{
    Answered, BatchPlan, Caller, Extra, Input, Job, JobError, Pace, Queue, Scores,
};
use crate::telemetry::Metrics;

/// What runs a batch: a [`Session`](super::Session) in service, anything else in a test.
pub type Engine = Box<dyn FnMut(&Batch) -> Result<Outputs, RunError> + Send>;

/// After this many failed batches in a row the service is not healthy any more.
const FAILURES_UNTIL_UNHEALTHY: u32 = 3;

/// So long after the last failure it may try again: a service that gets no traffic cannot show that
/// it has healed.
const PROBATION: Duration = Duration::from_secs(10);

/// Whether batches succeed; one good run heals it, and so does time.
#[derive(Debug, Default)]
pub struct Health {
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    in_a_row: u32,
    last: Option<Instant>,
}

impl Health {
    /// False for ten seconds after three failed batches in a row.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.in_a_row < FAILURES_UNTIL_UNHEALTHY
            || failures.last.is_none_or(|last| last.elapsed() > PROBATION)
    }

    fn note(&self, succeeded: bool) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if succeeded {
            *failures = Failures::default();
        } else {
            failures.in_a_row = failures.in_a_row.saturating_add(1);
            failures.last = Some(Instant::now());
        }
    }
}

/// What every worker shares.
#[derive(Debug, Clone)]
pub struct WorkerPlan {
    /// Where the jobs come from.
    pub queue: Queue,
    /// How batches are filled.
    pub batch: BatchPlan,
    /// How a picture becomes the network's input.
    pub preprocess: Preprocess,
    /// Where the speed is noted.
    pub pace: Arc<Pace>,
    /// Where success and failure are noted.
    pub health: Arc<Health>,
    /// Where all is counted.
    pub metrics: Arc<Metrics>,
}

/// The running worker threads.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// One thread for each engine.
    ///
    /// # Errors
    ///
    /// Where the system gives no more threads.
    pub fn start(plan: &WorkerPlan, engines: Vec<Engine>) -> std::io::Result<Self> {
        let threads = engines
            .into_iter()
            .enumerate()
            .map(|(number, engine)| {
                let mut worker = Worker::new(plan.clone(), engine);
                std::thread::Builder::new()
                    .name(format!("worker-{number}"))
                    .spawn(move || worker.work())
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { threads })
    }

    /// Waits until every worker has seen the end of the queue.
    pub fn join(self) {
        for thread in self.threads {
            // A worker catches what its engine throws, so this cannot fail; if it does, the other
            // workers still deserve to be waited for.
            let _ = thread.join();
        }
    }
}

struct Worker {
    plan: WorkerPlan,
    engine: Engine,
    batch: Batch,
    scratch: Scratch,
}

impl Worker {
    fn new(plan: WorkerPlan, engine: Engine) -> Self {
        let batch = Batch::with_capacity(InputShape::of(&plan.preprocess), plan.batch.max_batch);
        Self { plan, engine, batch, scratch: Scratch::default() }
    }

    fn work(&mut self) {
        while let Some(jobs) = self.plan.queue.next_batch(self.plan.batch) {
            let jobs = self.still_wanted(jobs);
            let started = Instant::now();
            let slots = self.fill(jobs);
            if !slots.is_empty() {
                self.run(slots, started);
            }
        }
    }

    /// Answers the late, drops the abandoned and keeps the rest.
    fn still_wanted(&self, jobs: Vec<Job>) -> Vec<Job> {
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

    /// Puts each image into the batch; an upload is prepared in its slot. One that cannot be is
    /// answered here, and spoils nobody's batch.
    fn fill(&mut self, jobs: Vec<Job>) -> Vec<Slot> {
        self.batch.clear();
        let mut slots = Vec::with_capacity(jobs.len());
        for job in jobs {
            let (input, caller) = job.into_parts();
            let queued = caller.queued_at().elapsed();
            match self.take(input, &caller) {
                Ok(facts) => {
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

    /// Puts one image into the batch.
    fn take(&mut self, input: Input, caller: &Caller) -> Result<Option<Facts>, JobError> {
        let Worker { plan: WorkerPlan { preprocess, metrics, .. }, batch, scratch, .. } = self;
        match input {
            Input::Pixels(pixels) => {
                batch.push(&pixels);
                Ok(None)
            }
            Input::Upload(upload) => caught(|| {
                let how = (&*preprocess, scratch);
                let stop = || caller.stop();
                let budget = Budget { permit: caller.permit(), watch: Watch::new(&stop) };
                let facts = batch.fill(|slot| prepare_into(slot, &upload, how, budget, metrics))?;
                Ok(Some(facts))
            }),
        }
    }

    /// Runs what is in the batch, and answers each slot. `started` is when its first image was taken up.
    fn run(&mut self, slots: Vec<Slot>, started: Instant) {
        let run_started = Instant::now();
        let mut outcome = self.run_engine().and_then(all_finite);
        let inference = run_started.elapsed();

        let Worker { plan, batch, .. } = self;
        let batch_size = batch.len();
        plan.health.note(outcome.is_ok());
        plan.metrics.batch_size.observe(f64::from(u32::try_from(batch_size).unwrap_or(u32::MAX)));
        plan.metrics.inference_seconds.observe(inference.as_secs_f64());
        match &outcome {
            Ok(_) => plan.pace.ran(batch_size, started.elapsed()),
            Err(error) => {
                plan.metrics.failed_batches.inc();
                tracing::error!(batch.size = batch_size, %error, "a batch failed");
            }
        }
        for (number, Slot { caller, facts, queued }) in slots.into_iter().enumerate() {
            plan.metrics.queue_wait_seconds.observe(queued.as_secs_f64());
            let wants = caller.wants();
            caller.answer(outcome.as_mut().map_err(|error| error.clone()).map(|outputs| {
                let scores = scores(outputs, number);
                let extra = wants.map(|output| extra(outputs, output, number));
                Answered { scores, extra, facts, queued, inference, batch_size }
            }));
        }
    }

    /// A panic is the batch's error, not the worker's end: the engine is used again.
    fn run_engine(&mut self) -> Result<Outputs, JobError> {
        let Worker { engine, batch, .. } = self;
        caught(|| engine(batch).map_err(|error| JobError::Runtime(error.to_string())))
    }
}

/// Who waits for one image of the batch that runs.
struct Slot {
    caller: Caller,
    facts: Option<Facts>,
    queued: Duration,
}

/// What `work` gives, or its panic as an error.
fn caught<T>(work: impl FnOnce() -> Result<T, JobError>) -> Result<T, JobError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(JobError::Panicked(panic_words(panic.as_ref()))))
}

/// Every picture is finite, so a network with an answer that is not has broken weights: all of its
/// batch is in doubt.
fn all_finite(outputs: Outputs) -> Result<Outputs, JobError> {
    let finite = [Output::Logits, Output::Probabilities]
        .iter()
        .all(|&output| outputs.rows(output).iter().flatten().all(|score| score.is_finite()));
    if finite { Ok(outputs) } else { Err(JobError::NotFinite) }
}

fn scores(outputs: &mut Outputs, slot: usize) -> Scores {
    Scores {
        logits: outputs.take(Output::Logits, slot),
        probabilities: outputs.take(Output::Probabilities, slot),
    }
}

fn extra(outputs: &mut Outputs, output: Output, slot: usize) -> Extra {
    Extra { shape: outputs.shape(output).to_vec(), values: outputs.take(output, slot) }
}

fn panic_words(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|words| (*words).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
