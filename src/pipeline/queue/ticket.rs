//! The caller's side of a job.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::{JobAnswer, JobError, JobPosition, Queue};

/// The caller's side of a job: a future of its answer. Dropping it removes the job from the queue.
#[derive(Debug)]
pub struct Ticket {
    queue: Queue,
    position: JobPosition,
    answer: oneshot::Receiver<Result<JobAnswer, JobError>>,
    arrived: bool,
}

impl Ticket {
    pub(super) fn new(
        queue: Queue,
        position: JobPosition,
        answer: oneshot::Receiver<Result<JobAnswer, JobError>>,
    ) -> Self {
        Self { queue, position, answer, arrived: false }
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
        // Close the channel first, so that a worker that takes the job now sees that the caller is gone.
        self.answer.close();
        self.queue.forget(self.position);
    }
}
