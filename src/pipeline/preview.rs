//! Returns the network's input for an image, with the preprocessing steps.

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::decode::{Reduction, Stored};
use super::decoders::Prepared;
use super::preprocess::Crop;
use super::queue::RequestContext;
use super::queue::Upload;
use super::{ClassifyError, ImageFacts, Pipeline, Timings, decode, png};
use crate::digest::hex;
use crate::model::{Interpolation, Resize};

/// The network's input for an image.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The preprocessing steps.
    pub steps: PreprocessSteps,
    /// uint8 `[height, width, 3]`, RGB, as a PNG.
    pub png: Bytes,
    /// The time of each stage.
    pub timings: Timings,
}

/// The steps from a file to the network's input, in order.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PreprocessSteps {
    /// The upright image.
    pub image: ImageFacts,
    /// The image as stored in the file.
    pub stored: Stored,
    /// The scale at which the image was decoded; all other sizes here are those of the full image.
    #[schema(value_type = String, example = "1/4")]
    pub decoded_at: Reduction,
    /// The part of the upright image that is kept, in its pixels.
    pub crop: Crop,
    /// How the image is resized to the input's size.
    pub resize: Resize,
    /// The interpolation.
    pub interpolation: Interpolation,
    /// The network's input: height and width.
    pub input: [u32; 2],
    /// SHA-256 of the input, uint8 `[height, width, 3]`, RGB, in hexadecimal digits.
    pub sha256: String,
}

impl Pipeline {
    /// Decodes and preprocesses one image, without running the network.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`]: as [`Pipeline::classify`].
    pub async fn preview(
        &self,
        upload: Bytes,
        context: &RequestContext,
    ) -> Result<Preview, ClassifyError> {
        self.until_deadline(context.deadline, self.make_preview(upload, context)).await
    }

    async fn make_preview(
        &self,
        upload: Bytes,
        context: &RequestContext,
    ) -> Result<Preview, ClassifyError> {
        let header = self.inspect(&upload)?;
        let decoded_at = header.reduction();
        let permit = self.admit(context, header.decode_time())?;
        let stored = decode::stored(&upload, &header)?;
        let upload = Upload { bytes: upload, header };
        let Prepared { pixels, facts, decode_wait, .. } =
            self.decoders.prepare(upload, context.deadline, permit).await?;
        let timings = Timings { decode_wait, ..facts.timings() };
        let preprocess = &self.card.preprocess;
        let input = preprocess.input;
        let drawing = tokio::task::spawn_blocking(move || {
            let digest = Sha256::digest(pixels.as_bytes());
            png::encode(pixels.as_bytes(), input).map(|png| (png, digest))
        });
        let (png, digest) = drawing
            .await
            .map_err(|error| error.to_string())
            .and_then(|drawn| drawn.map_err(|error| error.to_string()))
            .map_err(ClassifyError::Prepare)?;
        let steps = PreprocessSteps {
            image: facts.image,
            stored,
            decoded_at,
            crop: preprocess.crop(facts.image.size()),
            resize: preprocess.resize,
            interpolation: preprocess.interpolation,
            input,
            sha256: hex(&digest),
        };
        Ok(Preview { steps, png: png.into(), timings })
    }
}
