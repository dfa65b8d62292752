//! Embeddings: the pooled features before the classifier.

use bytes::Bytes;
use serde::Deserialize;
use utoipa::ToSchema;

use super::NotOffered;
use super::Output;
use super::classify::ScoredImage;
use super::queue::RequestContext;
use super::{ClassifyError, ImageFacts, Pipeline, Timings};

/// The length of a vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Normalize {
    /// Scaled to length 1, so that dot products are cosine similarities. The zero vector is
    /// unchanged.
    L2,
    /// Unchanged.
    #[default]
    No,
}

/// One image's embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// f32 `[channels]`.
    pub values: Vec<f32>,
    /// The uploaded image.
    pub image: ImageFacts,
    /// The time of each stage.
    pub timings: Timings,
}

impl Pipeline {
    /// Computes the pooled features of one image.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`]: as [`Pipeline::classify`], or if this model's graph has no such output.
    pub async fn embed(
        &self,
        upload: Bytes,
        context: &RequestContext,
        normalize: Normalize,
    ) -> Result<Embedding, ClassifyError> {
        self.capabilities.embedding()?;
        let scoring = self.score(upload, context, Some(Output::Embedding));
        let ScoredImage { answered, image, timings } =
            self.until_deadline(context.deadline, scoring).await?;
        let mut values = answered.extra.ok_or(NotOffered::NoEmbedding)?.values;
        match normalize {
            Normalize::No => {}
            Normalize::L2 => to_unit_length(&mut values),
        }
        Ok(Embedding { values, image, timings })
    }
}

/// Computed in f64, because squares of large features overflow f32.
#[expect(clippy::cast_possible_truncation, reason = "at most 1")]
fn to_unit_length(values: &mut [f32]) {
    let length = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        for value in values {
            *value = (f64::from(*value) / length) as f32;
        }
    }
}
