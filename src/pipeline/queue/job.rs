//! One image in the queue, with the channel for its answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::held::ImageLoad;
use super::upload::{ImageTimings, PrepareError, Upload};
use super::{Origin, Permit, Queue, RequestContext, Tag};
use crate::pipeline::Output;
use crate::pipeline::decode::{DecodeError, Stop};
use crate::pipeline::preprocess::Pixels;
use crate::telemetry::spans::SpanIds;

/// The deadline of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The moment it passes.
    pub at: Instant,
    /// The total time allowed, for messages.
    pub limit: Duration,
}

impl Deadline {
    /// `limit` from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self { at: Instant::now() + limit, limit }
    }

    /// The same deadline, or `limit` after the same start if that is sooner.
    #[must_use]
    pub fn sooner(&self, limit: Duration) -> Self {
        match self.limit.checked_sub(limit) {
            None => *self,
            Some(less) => Self { at: self.at.checked_sub(less).unwrap_or(self.at), limit },
        }
    }

    /// Whether it has passed at `now`.
    #[must_use]
    pub fn has_passed(&self, now: Instant) -> bool {
        now >= self.at
    }

    /// The time left at `now`.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        self.at.saturating_duration_since(now)
    }
}

/// What the network says of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// f32 `[classes]`, before the softmax.
    pub logits: Vec<f32>,
    /// f32 `[classes]`, summing to 1.
    pub probabilities: Vec<f32>,
}

impl Scores {
    /// The most probable of `classes`, or of all where that is empty; of equal ones the first.
    #[must_use]
    pub fn best_of(&self, classes: &[usize]) -> usize {
        let scores = self.logits.iter().enumerate().rev();
        scores
            .filter(|(class, _)| classes.is_empty() || classes.contains(class))
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .map_or(0, |(class, _)| class)
    }
}

/// One image's values of an output that is not fetched for every image.
#[derive(Debug, Clone, PartialEq)]
pub struct Extra {
    /// Their shape.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// One image's scores and how they came about.
#[derive(Debug, Clone, PartialEq)]
pub struct JobAnswer {
    /// What the network says.
    pub scores: Scores,
    /// The additional output, if the job requested one.
    pub extra: Option<Extra>,
    /// What its worker learnt of the image, where it was queued as an upload.
    pub facts: Option<ImageTimings>,
    /// From queue to worker.
    pub queued: Duration,
    /// The run of its whole batch.
    pub inference: Duration,
    /// How many images shared that run.
    pub batch_size: usize,
    /// The span of the batch, if it is traced.
    pub batch: Option<SpanIds>,
}

/// Why a queued image got no scores.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JobError {
    /// Its upload could not be decoded or preprocessed.
    #[error(transparent)]
    Prepare(PrepareError),
    /// ONNX Runtime refused or failed the batch.
    #[error("ONNX Runtime failed on the batch: {0}")]
    Runtime(String),
    /// The run panicked; the worker lives on.
    #[error("the run panicked: {0}")]
    Panicked(String),
    /// The network answered with something that is not a score.
    #[error("the network's scores are not finite")]
    NotFinite,
    /// Its deadline passed in the queue or while it was decoded.
    #[error("the deadline passed before the scores were computed")]
    Late,
    /// It was displaced from the queue by a client with fewer images.
    #[error("displaced from the queue")]
    Displaced {
        /// When to try again.
        retry_after: Duration,
    },
    /// The job was dropped without an answer, because the server is shutting down.
    #[error("cancelled: the server is shutting down")]
    Cancelled,
}

impl From<PrepareError> for JobError {
    /// Decoding is cancelled when the deadline passes or the caller is gone.
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Decode(DecodeError::Stopped { stop: Stop::Late | Stop::Abandoned }) => {
                Self::Late
            }
            PrepareError::Decode(_) | PrepareError::Rejected(_) => Self::Prepare(error),
        }
    }
}

/// The way back. Only [`Queue::submit`] makes one.
#[derive(Debug)]
pub struct Reply(pub(super) oneshot::Sender<Result<JobAnswer, JobError>>);

/// The input of a job.
#[derive(Debug)]
pub enum Input {
    /// An image that the worker decodes and preprocesses.
    Upload(Upload),
    /// What the network takes.
    Pixels(Pixels),
}

impl From<Upload> for Input {
    fn from(upload: Upload) -> Self {
        Self::Upload(upload)
    }
}

impl From<Pixels> for Input {
    fn from(pixels: Pixels) -> Self {
        Self::Pixels(pixels)
    }
}

/// An image and its caller. Dropping it answers "cancelled".
#[derive(Debug)]
pub struct Job {
    input: Input,
    caller: Caller,
}

impl Job {
    /// A job that is queued now; `permit` is held until it is answered or dropped.
    #[must_use]
    pub fn new(
        input: impl Into<Input>,
        context: RequestContext,
        permit: Permit,
        reply: Reply,
    ) -> Self {
        let queued_at = Instant::now();
        Self {
            input: input.into(),
            caller: Caller { context, queued_at, reply, permit, wants: None },
        }
    }

    /// The same job, with an additional output.
    #[must_use]
    pub fn wanting(mut self, output: Option<Output>) -> Self {
        self.caller.wants = output;
        self
    }

    /// Who asked.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The image and its caller.
    #[must_use]
    pub fn into_parts(self) -> (Input, Caller) {
        (self.input, self.caller)
    }
}

/// The caller of a job: its deadline and reply channel. Answering consumes it; dropping it answers
/// "cancelled".
#[derive(Debug)]
pub struct Caller {
    context: RequestContext,
    queued_at: Instant,
    reply: Reply,
    permit: Permit,
    wants: Option<Output>,
}

impl Caller {
    /// The additional output, if one is requested.
    #[must_use]
    pub fn wants(&self) -> Option<Output> {
        self.wants
    }

    /// What it adds to its client's load.
    pub(super) fn share(&self) -> ImageLoad {
        self.permit.share()
    }

    /// What its image was announced to take to decode.
    #[must_use]
    pub fn announced_decode(&self) -> Duration {
        self.share().decode
    }

    /// What the image's memory is charged to.
    #[must_use]
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// When the time runs out.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.context.deadline
    }

    /// The reason to stop preparing its image before work that takes `ahead`, if there is one.
    #[must_use]
    pub fn stop(&self, ahead: Duration) -> Option<Stop> {
        if self.is_abandoned() {
            return Some(Stop::Abandoned);
        }
        self.context.deadline.has_passed(Instant::now() + ahead).then_some(Stop::Late)
    }

    /// Who sent its request.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.context.origin
    }

    /// When the job joined the queue.
    #[must_use]
    pub fn queued_at(&self) -> Instant {
        self.queued_at
    }

    /// Whether the caller is gone.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.reply.0.is_closed()
    }

    /// Sends the answer; if the caller is gone, it is dropped.
    pub fn answer(self, answer: Result<JobAnswer, JobError>) {
        // First the place, then the answer: a caller who has it may count on the place being free.
        drop(self.permit);
        let _ = self.reply.0.send(answer);
    }
}

/// The caller's side of a job: a future of its answer. Dropping it removes the job from the queue.
#[derive(Debug)]
pub struct Ticket {
    queue: Queue,
    tag: Tag,
    answer: oneshot::Receiver<Result<JobAnswer, JobError>>,
    arrived: bool,
}

impl Ticket {
    pub(super) fn new(
        queue: Queue,
        tag: Tag,
        answer: oneshot::Receiver<Result<JobAnswer, JobError>>,
    ) -> Self {
        Self { queue, tag, answer, arrived: false }
    }
}

impl Future for Ticket {
    type Output = Result<JobAnswer, JobError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = std::task::ready!(Pin::new(&mut self.answer).poll(context));
        self.arrived = true;
        Poll::Ready(answer.unwrap_or(Err(JobError::Cancelled)))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.arrived {
            return;
        }
        // Close first, so that a worker that takes the job now sees that the caller is gone.
        self.answer.close();
        self.queue.forget(self.tag);
    }
}
