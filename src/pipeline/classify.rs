//! Processes one image: header, admission, decoding, queue, batch, scores, classes.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Output;
use super::decode::{self, DecodeError};
use super::decoders::{Abandoned, Prepared};
use super::prepare;
use super::queue::Upload;
use super::queue::{Deadline, Input, Job, JobAnswer, Permit, RequestContext, Scores};
use super::{Classification, ClassifyError, Decoding, ImageFacts, Pipeline, Timings, temperature};

/// The network's scores for one image.
pub(super) struct ScoredImage {
    pub(super) answered: JobAnswer,
    pub(super) image: ImageFacts,
    pub(super) timings: Timings,
}

/// A permit to queue one image, with the context of its request.
pub(super) struct Admitted<'a> {
    pub(super) context: &'a RequestContext,
    pub(super) permit: Permit,
}

impl Pipeline {
    /// Classifies one image, from bytes to scores.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`]: an invalid image, a rejection, a passed deadline or a failed run.
    pub async fn classify(
        &self,
        upload: Bytes,
        context: &RequestContext,
    ) -> Result<Classification, ClassifyError> {
        let scoring = self.score(upload, context, None);
        let ScoredImage { answered, image, timings } =
            self.until_deadline(context.deadline, scoring).await?;
        Ok(self.classification(answered.scores, image, timings))
    }

    /// Decodes and runs an image; returns its scores, and an additional output if requested.
    pub(super) async fn score(
        &self,
        bytes: Bytes,
        context: &RequestContext,
        additional: Option<Output>,
    ) -> Result<ScoredImage, ClassifyError> {
        let header = self.inspect(&bytes)?;
        let permit = self.admit(context, header.decode_time())?;
        let observer = self.observer.read().unwrap_or_else(PoisonError::into_inner).clone();
        let copy = observer.map(|observer| (observer, bytes.clone()));
        let upload = Upload { bytes, header };
        let (input, permit, prepared) = match self.plan.decoding {
            Decoding::Inline => (Input::Upload(upload), permit, None),
            Decoding::Dedicated { .. } => {
                let guard = Abandoned { metrics: &self.metrics, deadline: context.deadline };
                let prepared = self.decoders.prepare(upload, context.deadline, permit).await;
                guard.disarm();
                let Prepared { pixels, facts, permit, decode_wait } = prepared?;
                (Input::Pixels(pixels), permit, Some((facts, decode_wait)))
            }
        };
        let answered = self.run(input, Admitted { context, permit }, additional).await?;
        if let Some((observer, bytes)) = copy {
            observer.answered(&bytes, &answered.scores, answered.inference);
        }
        let by_worker = answered.facts.map(|facts| (facts, Duration::ZERO));
        let Some((facts, decode_wait)) = prepared.or(by_worker) else {
            return Err(ClassifyError::Prepare(
                "the worker returned no facts about the image".to_owned(),
            ));
        };
        let timings = Timings { decode_wait, ..facts.timings() };
        Ok(ScoredImage { image: facts.image, timings: timings.with_run(&answered), answered })
    }

    /// Reads the header, and selects the scale at which a JPEG is decoded.
    pub(super) fn inspect(&self, upload: &[u8]) -> Result<decode::Header, DecodeError> {
        let header = decode::inspect(upload, &self.plan.limits)
            .inspect_err(|error| prepare::count_panic(error, &self.metrics))?;
        Ok(self.plan.jpeg_scaling.plan(header, &self.card.preprocess))
    }

    /// Queues `input`, and waits until a worker has run it in a batch.
    pub(super) async fn run(
        &self,
        input: Input,
        Admitted { context, permit }: Admitted<'_>,
        additional: Option<Output>,
    ) -> Result<JobAnswer, ClassifyError> {
        let make = |reply| Job::new(input, context.clone(), permit, reply).wanting(additional);
        let ticket = self.queue.submit(make)?;
        let mut answered = ticket.await.map_err(|error| {
            ClassifyError::from_job(error, context.deadline, self.predicted_wait())
        })?;
        answered.scores = temperature::calibrated(answered.scores, self.temperature());
        self.metrics.images.inc();
        Ok(answered)
    }

    /// The answer for an image with `scores`.
    pub(super) fn classification(
        &self,
        scores: Scores,
        image: ImageFacts,
        timings: Timings,
    ) -> Classification {
        let (temperature, task) = (self.temperature(), self.card.task);
        Classification { image, timings, scores, temperature, task }
    }

    /// The temperature of the card. With `None`, the probabilities are those of the graph.
    fn temperature(&self) -> Option<f64> {
        self.card.calibration_in_use().map(|calibration| calibration.temperature)
    }

    /// Polls `work` until the deadline, and counts rejections.
    pub(super) async fn until_deadline<T>(
        &self,
        deadline: Deadline,
        work: impl Future<Output = Result<T, ClassifyError>>,
    ) -> Result<T, ClassifyError> {
        let answer = match tokio::time::timeout_at(deadline.at.into(), work).await {
            // A decode is stopped before the deadline if its predicted time exceeds the time that is left.
            Err(_) | Ok(Err(ClassifyError::Decode(DecodeError::Stopped { .. }))) => {
                Err(ClassifyError::late(deadline, self.predicted_wait()))
            }
            Ok(answer) => answer,
        };
        if let Some(reason) = answer.as_ref().err().and_then(ClassifyError::reason) {
            self.metrics.rejected(reason);
        }
        answer
    }
}

impl Timings {
    /// Adds the times of the queue and of the run, which ended now.
    pub(super) fn with_run(self, answered: &JobAnswer) -> Self {
        Self {
            queue: answered.queued,
            inference: answered.inference,
            batch_size: answered.batch_size,
            batch: answered.batch,
            ended: Some(Instant::now()),
            ..self
        }
    }
}
