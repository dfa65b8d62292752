//! All scores of one image, given as file or as preprocessed pixels.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::explain::NotOffered;
use super::preprocess::Pixels;
use super::queue::{Answered, RequestContext, Scores};
use super::run::Output;
use super::{ClassifyError, Pipeline, Timings};

/// An input image.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, which is decoded and preprocessed.
    Upload(Bytes),
    /// uint8 `[height, width, 3]`, RGB, of exactly the network's input size: nothing is decoded.
    Pixels(Bytes),
}

/// An additional output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// The pooled features.
    Embedding,
}

/// The network's outputs for one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// All of them.
    pub scores: Scores,
    /// f32 `[channels]`, if it was requested.
    pub embedding: Option<Vec<f32>>,
    /// Where the time went.
    pub timings: Timings,
}

impl Pipeline {
    /// All scores of one image, with the same admission control, queue and batches as
    /// [`Pipeline::classify`].
    ///
    /// # Errors
    ///
    /// [`ClassifyError`]: as [`Pipeline::classify`], or that this model's graph does not give what
    /// is wanted beside.
    pub async fn infer(
        &self,
        source: Source,
        context: &RequestContext,
        beside: Beside,
    ) -> Result<Inferred, ClassifyError> {
        let wants = match beside {
            Beside::Nothing => None,
            Beside::Embedding => {
                self.offers.embedding()?;
                Some(Output::Embedding)
            }
        };
        let journey = async {
            match source {
                Source::Upload(file) => {
                    let travelled = self.travel(file, context, wants).await?;
                    Ok((travelled.answered, travelled.timings))
                }
                Source::Pixels(rgb) => self.queue_pixels(rgb, context, wants).await,
            }
        };
        let (answered, timings) = self.within(context.deadline, journey).await?;
        let embedding = match wants {
            None => None,
            Some(_) => Some(answered.extra.ok_or(NotOffered::NoEmbedding)?.values),
        };
        Ok(Inferred { scores: answered.scores, embedding, timings })
    }

    /// Whether [`Beside::Embedding`] may be wanted.
    #[must_use]
    pub fn gives_embedding(&self) -> bool {
        self.offers.embedding().is_ok()
    }

    /// There is nothing to decode, so no decoder is waited for.
    async fn queue_pixels(
        &self,
        rgb: Bytes,
        context: &RequestContext,
        wants: Option<Output>,
    ) -> Result<(Answered, Timings), ClassifyError> {
        let permit = self.enter(context, Duration::ZERO)?;
        permit.grow(rgb.len() as u64)?;
        let found = rgb.len();
        let pixels = Pixels::from_raw(self.card.preprocess.input, rgb.into()).ok_or_else(|| {
            ClassifyError::Prepare(format!("{found} bytes are not the network's input"))
        })?;
        let answered = self.ask(pixels.into(), (context, permit), wants).await?;
        let timings = Timings {
            queue: answered.queued,
            inference: answered.inference,
            batch_size: answered.batch_size,
            ended: Some(Instant::now()),
            ..Timings::default()
        };
        Ok((answered, timings))
    }
}
