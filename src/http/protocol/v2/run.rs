//! Classifies the images of a request, and returns their scores as tensors.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::classes;
use super::request::{InferRequest, OutputContent, RequestedOutput};
use super::signature::NamedOutput;
use super::tensor::Datatype;
use crate::http::App;
use crate::http::problem::Problem;
use crate::pipeline::queue::RequestContext;
use crate::pipeline::{InferOutputs, Inferred, Timings};

/// The answer to an inference request.
#[derive(Debug)]
pub(super) struct InferAnswer {
    /// The id of the request.
    pub(super) id: Option<String>,
    /// In the order of the request.
    pub(super) outputs: Vec<OutputTensor>,
    /// One for each image.
    pub(super) timings: Vec<Timings>,
}

/// One output of all images.
#[derive(Debug)]
pub(super) struct OutputTensor {
    pub(super) name: &'static str,
    pub(super) shape: [usize; 2],
    pub(super) values: OutputValues,
}

/// The elements of an output, row after row.
#[derive(Debug)]
pub(super) enum OutputValues {
    /// FP32.
    Floats(Vec<f32>),
    /// BYTES that are text.
    Texts(Vec<String>),
}

impl OutputValues {
    pub(super) fn datatype(&self) -> Datatype {
        match self {
            Self::Floats(_) => Datatype::Fp32,
            Self::Texts(_) => Datatype::Bytes,
        }
    }

    /// Encodes the elements as in the binary extension.
    pub(super) fn to_raw(&self) -> Vec<u8> {
        match self {
            Self::Floats(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Texts(texts) => {
                let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
                let mut raw = Vec::new();
                for text in texts {
                    raw.extend(length(text).to_le_bytes());
                    raw.extend(text.as_bytes());
                }
                raw
            }
        }
    }
}

/// Runs each image as a separate job in the queue; only as many at once as the workers can use.
///
/// A tensor cannot contain a problem. So the first problem is the whole answer, and queued images are removed
/// from the queue.
pub(super) async fn run(
    app: &App,
    infer: InferRequest,
    context: &RequestContext,
) -> Result<InferAnswer, Problem> {
    let InferRequest { id, images, outputs, .. } = infer;
    let embedding = outputs.iter().any(|wanted| wanted.output == NamedOutput::Embedding);
    let wanted = if embedding { InferOutputs::ScoresAndEmbedding } else { InferOutputs::Scores };
    let count = images.len();
    let inferred: Vec<Inferred> = stream::iter(images.into_iter().enumerate())
        .map(|(index, image)| async move {
            let inferred = app.model.pipeline.infer(image, context, wanted).await;
            inferred.map_err(|error| Problem::from(error).of_image(index, count))
        })
        .buffered(context.at_once(app.model.pipeline.at_once()))
        .try_collect()
        .await?;
    let labels = &app.model.pipeline.card().labels;
    let outputs = outputs.into_iter().map(|wanted| answered(wanted, &inferred, labels)).collect();
    let timings = inferred.iter().map(|inferred| inferred.timings).collect();
    Ok(InferAnswer { id, outputs, timings })
}

fn answered(wanted: RequestedOutput, inferred: &[Inferred], labels: &[String]) -> OutputTensor {
    let rows = inferred.iter().map(|inferred| row(wanted.output, inferred));
    let values = match wanted.form {
        OutputContent::Values => OutputValues::Floats(rows.flatten().copied().collect()),
        OutputContent::Classes(count) => {
            OutputValues::Texts(rows.flat_map(|row| classes::of(row, labels, count)).collect())
        }
    };
    let elements = match &values {
        OutputValues::Floats(floats) => floats.len(),
        OutputValues::Texts(texts) => texts.len(),
    };
    let images = inferred.len();
    OutputTensor { name: wanted.output.name(), shape: [images, elements / images], values }
}

fn row(output: NamedOutput, inferred: &Inferred) -> &[f32] {
    match output {
        NamedOutput::Probabilities => &inferred.scores.probabilities,
        NamedOutput::Logits => &inferred.scores.logits,
        NamedOutput::Embedding => inferred.embedding.as_deref().unwrap_or_default(),
    }
}
