//! The answer for one image, and its errors.

use std::time::Duration;

use super::NotOffered;
use super::decode::DecodeError;
use super::queue::{Deadline, JobError, PrepareError, Rejected, Scores, header_seconds};
use super::topk::{self, ClassFilter, Prediction};
use super::{ImageFacts, Timings, temperature};
use crate::model::Task;
use crate::telemetry::Reason;

/// The answer for one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// Facts about the image.
    pub image: ImageFacts,
    /// The time of each stage.
    pub timings: Timings,
    /// The scores of all classes.
    pub scores: Scores,
    /// The temperature of the softmax, if the card has one.
    pub temperature: Option<f64>,
    /// Single-label or multi-label.
    pub task: Task,
}

impl Classification {
    /// The most probable of the classes that `filter` leaves.
    #[must_use]
    pub fn filtered(&self, labels: &[String], filter: &ClassFilter) -> Vec<Prediction> {
        match self.task {
            Task::SingleLabel => {
                let logits = temperature::scaled(&self.scores.logits, self.temperature);
                topk::filtered(&logits, labels, filter)
            }
            Task::MultiLabel => topk::chosen(&self.scores.probabilities, labels, filter),
        }
    }
}

/// Why an image was not classified.
#[derive(Debug, thiserror::Error)]
pub enum ClassifyError {
    /// The upload is not a supported image.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Rejected by admission control.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The model does not support the request.
    #[error(transparent)]
    NotOffered(#[from] NotOffered),
    /// The deadline has passed or cannot be met.
    #[error(
        "the request's time limit of {limit:.0?} passed before the result was ready; retry in {} s, or allow more time if the \
         request has X-Request-Timeout-Ms",
        header_seconds(*retry_after)
    )]
    Deadline {
        /// The time limit.
        limit: Duration,
        /// When to retry.
        retry_after: Duration,
    },
    /// Decoding or preprocessing failed with an internal error.
    #[error("preparing the image failed: {0}")]
    Prepare(String),
    /// The run failed.
    #[error(transparent)]
    Run(JobError),
}

impl ClassifyError {
    /// The error of a request that misses its deadline, given the time that is predicted for a new request.
    pub(super) fn late(deadline: Deadline, predicted: Duration) -> Self {
        let retry_after = predicted.saturating_sub(deadline.limit).max(Duration::from_secs(1));
        Self::Deadline { limit: deadline.limit, retry_after }
    }

    /// Converts the error of a job, given its deadline and the predicted wait.
    pub(super) fn from_job(error: JobError, deadline: Deadline, predicted: Duration) -> Self {
        match error {
            JobError::Late => Self::late(deadline, predicted),
            JobError::Cancelled => Self::Rejected(Rejected::Draining),
            JobError::Displaced { retry_after } => {
                Self::Rejected(Rejected::Displaced { retry_after })
            }
            JobError::Prepare(error) => error.into(),
            failed @ (JobError::Runtime(_) | JobError::Panicked(_) | JobError::NotFinite) => {
                Self::Run(failed)
            }
        }
    }

    /// Why admission control rejected the image; `None` for invalid images and internal errors.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Rejected(rejected) => Some(rejected.reason()),
            Self::Deadline { .. } => Some(Reason::Deadline),
            Self::Decode(_) | Self::NotOffered(_) | Self::Prepare(_) | Self::Run(_) => None,
        }
    }
}

impl From<PrepareError> for ClassifyError {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Decode(error) => Self::Decode(error),
            PrepareError::Rejected(rejected) => Self::Rejected(rejected),
        }
    }
}
