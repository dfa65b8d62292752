//! All scores of one image, which is a file or preprocessed pixels.

use std::time::Duration;

use bytes::Bytes;

use super::NotOffered;
use super::Output;
use super::classify::Admitted;
use super::preprocess::Pixels;
use super::queue::{JobAnswer, RequestContext, Scores};
use super::{ClassifyError, Pipeline, Timings};

/// An input image.
#[derive(Debug, Clone)]
pub enum InputImage {
    /// A file, which is decoded and preprocessed.
    Upload(Bytes),
    /// uint8 `[height, width, 3]`, RGB, with exactly the network's input size; not decoded.
    Pixels(Bytes),
}

/// The outputs to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InferOutputs {
    /// Logits and probabilities.
    Scores,
    /// Logits, probabilities and the pooled features.
    ScoresAndEmbedding,
}

/// The network's outputs for one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// Scores of all classes.
    pub scores: Scores,
    /// f32 `[channels]`, if it was requested.
    pub embedding: Option<Vec<f32>>,
    /// The time of each stage.
    pub timings: Timings,
}

impl Pipeline {
    /// Computes all scores of one image, with the same admission control, queue and batches as
    /// [`Pipeline::classify`].
    ///
    /// # Errors
    ///
    /// [`ClassifyError`]: as [`Pipeline::classify`], or if this model's graph lacks a requested output.
    pub async fn infer(
        &self,
        source: InputImage,
        context: &RequestContext,
        outputs: InferOutputs,
    ) -> Result<Inferred, ClassifyError> {
        let additional = match outputs {
            InferOutputs::Scores => None,
            InferOutputs::ScoresAndEmbedding => {
                self.capabilities.embedding()?;
                Some(Output::Embedding)
            }
        };
        let scoring = async {
            match source {
                InputImage::Upload(file) => {
                    let scored = self.score(file, context, additional).await?;
                    Ok((scored.answered, scored.timings))
                }
                InputImage::Pixels(rgb) => self.queue_pixels(rgb, context, additional).await,
            }
        };
        let (answered, timings) = self.until_deadline(context.deadline, scoring).await?;
        let embedding = match additional {
            None => None,
            Some(_) => Some(answered.extra.ok_or(NotOffered::NoEmbedding)?.values),
        };
        Ok(Inferred { scores: answered.scores, embedding, timings })
    }

    /// Whether [`InferOutputs::ScoresAndEmbedding`] is supported.
    #[must_use]
    pub fn gives_embedding(&self) -> bool {
        self.capabilities.embedding().is_ok()
    }

    /// Queues pixels without copying them: their memory was already counted with the request, and the worker
    /// copies them into its batch.
    async fn queue_pixels(
        &self,
        rgb: Bytes,
        context: &RequestContext,
        additional: Option<Output>,
    ) -> Result<(JobAnswer, Timings), ClassifyError> {
        let permit = self.admit(context, Duration::ZERO)?;
        let found = rgb.len();
        let pixels = Pixels::from_raw(self.card.preprocess.input, rgb).ok_or_else(|| {
            ClassifyError::Prepare(format!(
                "the pixels have {found} bytes, which is not the size of the network's input"
            ))
        })?;
        let answered = self.run(pixels.into(), Admitted { context, permit }, additional).await?;
        let timings = Timings::default().with_run(&answered);
        Ok((answered, timings))
    }
}
