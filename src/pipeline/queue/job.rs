//! A job: one image in the queue, with the channel for its answer.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::in_flight::ImageLoad;
use super::upload::{ImageTimings, PrepareError, Upload};
use super::{Deadline, Origin, Permit, RequestContext};
use crate::pipeline::Output;
use crate::pipeline::decode::{DecodeError, Stop};
use crate::pipeline::preprocess::Pixels;
use crate::telemetry::spans::SpanIds;

/// The network's output for one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// f32 `[classes]`, before the softmax.
    pub logits: Vec<f32>,
    /// f32 `[classes]`; those of a single-label network sum to 1.
    pub probabilities: Vec<f32>,
}

impl Scores {
    /// The most probable of `classes`, or of all classes if that is empty; the first of equal ones.
    #[must_use]
    pub fn best_of(&self, classes: &[usize]) -> usize {
        let scores = self.logits.iter().enumerate().rev();
        scores
            .filter(|(class, _)| classes.is_empty() || classes.contains(class))
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .map_or(0, |(class, _)| class)
    }
}

/// One image's values of an additional output.
#[derive(Debug, Clone, PartialEq)]
pub struct Extra {
    /// Shape of the values.
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub values: Vec<f32>,
}

/// The answer to a job: one image's scores and timings.
#[derive(Debug, Clone, PartialEq)]
pub struct JobAnswer {
    /// The network's output.
    pub scores: Scores,
    /// The additional output, if the job requested one.
    pub extra: Option<Extra>,
    /// Facts about the image, if the worker decoded it.
    pub facts: Option<ImageTimings>,
    /// Time from queueing until a worker began to prepare the image, with the wait for a core and the images before it in the
    /// batch.
    pub queued: Duration,
    /// Time of the run of its batch.
    pub inference: Duration,
    /// Number of images in the batch.
    pub batch_size: usize,
    /// The span of the batch, if it is traced.
    pub batch: Option<SpanIds>,
}

/// Why a job has no scores.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JobError {
    /// Its upload could not be decoded or preprocessed.
    #[error(transparent)]
    Prepare(PrepareError),
    /// ONNX Runtime could not run the batch.
    #[error("ONNX Runtime failed on the batch: {0}")]
    Runtime(String),
    /// The run panicked; the worker continues.
    #[error("the run panicked: {0}")]
    Panicked(String),
    /// The network's output contains infinity or NaN.
    #[error("the network's scores are not finite")]
    NotFinite,
    /// The deadline passed in the queue or during decoding.
    #[error("the deadline passed before the scores were computed")]
    Late,
    /// It was displaced from the queue by an image of higher priority, or of a client with fewer images.
    #[error("displaced from the queue")]
    Displaced {
        /// When to retry.
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

/// The channel for the answer; only [`Queue::submit`] creates one.
#[derive(Debug)]
pub struct Reply(pub(super) oneshot::Sender<Result<JobAnswer, JobError>>);

/// The input of a job.
#[derive(Debug)]
pub enum Input {
    /// An image that the worker decodes and preprocesses.
    Upload(Upload),
    /// Preprocessed pixels.
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
    /// A job that is queued now. `permit` is held until the job is answered or dropped.
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

    /// Requests an additional output.
    #[must_use]
    pub fn wanting(mut self, output: Option<Output>) -> Self {
        self.caller.wants = output;
        self
    }

    /// The caller.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Splits the job into the image and its caller.
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

    /// The contribution to its client's load.
    pub(super) fn share(&self) -> ImageLoad {
        self.permit.share()
    }

    /// The decode time predicted from the image's header.
    #[must_use]
    pub fn announced_decode(&self) -> Duration {
        self.share().decode
    }

    /// The permit, to which the image's memory is charged.
    #[must_use]
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The request's deadline.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.context.deadline
    }

    /// Whether to stop before work that takes `ahead`, and why.
    #[must_use]
    pub fn stop(&self, ahead: Duration) -> Option<Stop> {
        if self.is_abandoned() {
            return Some(Stop::Abandoned);
        }
        self.context.deadline.has_passed(Instant::now() + ahead).then_some(Stop::Late)
    }

    /// The sender of the request.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.context.origin
    }

    /// When the job was queued.
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
        // Release the permit before answering, so that a caller that has the answer can queue another image.
        drop(self.permit);
        let _ = self.reply.0.send(answer);
    }
}
