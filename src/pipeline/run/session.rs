//! ONNX bytes become a session; a batch becomes scores. Here the two rivers meet.

use std::borrow::Cow;
use std::fmt;

use ort::ep::{self, ExecutionProviderDispatch};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session as OrtSession};
use ort::value::TensorRef;

use super::{Batch, Device, Library};

/// The outputs of every graph that we build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// f32 `[N, classes]`, before the softmax.
    Logits,
    /// f32 `[N, classes]`, after it.
    Probabilities,
    /// f32 `[N, channels]`, the pooled features.
    Embedding,
    /// f32 `[N, channels, height, width]`, what the last block answers.
    FeatureMap,
}

impl Output {
    /// Its name in the graph.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Embedding => "embedding",
            Self::FeatureMap => "feature_map",
        }
    }
}

/// How a session uses the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPlan {
    /// Where it runs.
    pub device: Device,
    /// Threads inside one run, at least 1.
    pub threads: usize,
}

/// A session could not be had. `reason` is ONNX Runtime's word.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The device cannot be used.
    #[error(
        "device {device} cannot be used: {reason}\n\
         hint: CUDA needs the GPU build of ONNX Runtime (onnxruntime-gpu), an NVIDIA driver, and \
         the CUDA and cuDNN libraries that it was built for; --device cpu runs without them"
    )]
    Device {
        /// The device asked for.
        device: Device,
        /// ONNX Runtime's word.
        reason: String,
    },
    /// The model is not one that ONNX Runtime loads.
    #[error("ONNX Runtime does not load the model: {reason}")]
    Model {
        /// ONNX Runtime's word.
        reason: String,
    },
}

/// A batch that gave no scores.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// ONNX Runtime's word.
    #[error("{0}")]
    Runtime(String),
    /// An output is not there, or not of the shape that the batch asks for.
    #[error("output {output} has the shape {found:?}, not {images} images' worth")]
    Shape {
        /// The output's name.
        output: &'static str,
        /// What came.
        found: Vec<i64>,
        /// What was run.
        images: usize,
    },
}

/// One graph, loaded, on one device. A worker owns it.
pub struct Session {
    loaded: OrtSession,
    wanted: Vec<Output>,
    options: RunOptions<HasSelectedOutputs>,
}

impl Session {
    /// Loads ONNX `bytes` and selects the outputs that each run will fetch.
    ///
    /// # Errors
    ///
    /// [`SessionError`]: the device cannot be had (it is never replaced by another one), or the
    /// model does not load.
    pub fn open(
        library: &Library,
        bytes: &[u8],
        plan: SessionPlan,
        wanted: &[Output],
    ) -> Result<Self, SessionError> {
        Self::commit(builder(library, plan)?, bytes, plan, wanted)
    }

    /// Loads ONNX `bytes` as `builder` was told to.
    pub(super) fn commit(
        mut builder: SessionBuilder,
        bytes: &[u8],
        plan: SessionPlan,
        wanted: &[Output],
    ) -> Result<Self, SessionError> {
        let loaded = builder.commit_from_memory(bytes).map_err(|error| match plan.device {
            Device::Cpu => SessionError::Model { reason: said(&error) },
            device @ Device::Cuda(_) => SessionError::Device { device, reason: said(&error) },
        })?;
        let options =
            fetching(wanted).map_err(|error| SessionError::Model { reason: said(&error) })?;
        Ok(Self { loaded, wanted: wanted.to_vec(), options })
    }

    /// Runs uint8 `[N, H, W, 3]` and fetches the wanted outputs, and the batch's extras.
    ///
    /// # Errors
    ///
    /// [`RunError`], after which the session can be used again.
    pub fn run(&mut self, batch: &Batch) -> Result<Outputs, RunError> {
        let failed = |error: ort::Error| RunError::Runtime(said(&error));
        let mut fetched = Cow::Borrowed(&self.wanted);
        for extra in batch.extras().iter().filter(|extra| !self.wanted.contains(extra)) {
            fetched.to_mut().push(*extra);
        }
        let with_extras = match &fetched {
            Cow::Borrowed(_) => None,
            Cow::Owned(outputs) => Some(fetching(outputs).map_err(failed)?),
        };
        let input =
            TensorRef::from_array_view((batch.shape(), batch.as_bytes())).map_err(failed)?;
        let answers = self
            .loaded
            .run_with_options(
                ort::inputs!["pixels" => input],
                with_extras.as_ref().unwrap_or(&self.options),
            )
            .map_err(failed)?;
        let images = batch.len();
        let tensors = fetched
            .iter()
            .map(|&output| {
                let (shape, values) =
                    answers[output.name()].try_extract_tensor::<f32>().map_err(failed)?;
                if values.len() % images != 0
                    || shape.first().copied() != i64::try_from(images).ok()
                {
                    let (output, found) = (output.name(), shape.to_vec());
                    return Err(RunError::Shape { output, found, images });
                }
                let shape = shape.iter().skip(1).map(|&size| usize::try_from(size).unwrap_or(0));
                Ok(Fetched { output, shape: shape.collect(), values: values.to_vec() })
            })
            .collect::<Result<_, _>>()?;
        Ok(Outputs { images, tensors })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// What one run fetched, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    images: usize,
    tensors: Vec<Fetched>,
}

#[derive(Debug, Clone, PartialEq)]
struct Fetched {
    output: Output,
    /// Of one image.
    shape: Vec<usize>,
    /// Of all images.
    values: Vec<f32>,
}

impl Outputs {
    /// Outputs made by hand, each `[images, …]` flattened; for engines that are not a session.
    #[must_use]
    pub fn new(images: usize, tensors: Vec<(Output, Vec<f32>)>) -> Self {
        let fetched = |(output, values): (Output, Vec<f32>)| {
            let shape = vec![values.len() / images];
            Fetched { output, shape, values }
        };
        Self { images, tensors: tensors.into_iter().map(fetched).collect() }
    }

    /// The values of all images in one output, one after the other; empty where that was not
    /// fetched.
    #[must_use]
    pub fn all(&self, output: Output) -> &[f32] {
        self.fetched(output).map_or(&[], |fetched| &fetched.values)
    }

    /// The shape of one image's values in one output; empty where that was not fetched.
    #[must_use]
    pub fn shape(&self, output: Output) -> &[usize] {
        self.fetched(output).map_or(&[], |fetched| &fetched.shape)
    }

    fn fetched(&self, output: Output) -> Option<&Fetched> {
        self.tensors.iter().find(|fetched| fetched.output == output)
    }

    /// The values of one image in one output; empty where that was not fetched.
    #[must_use]
    pub fn row(&self, output: Output, image: usize) -> &[f32] {
        let values = self.all(output);
        let width = values.len() / self.images;
        &values[image * width..][..width]
    }
}

/// Options of a run that fetches `outputs` and no others.
fn fetching(outputs: &[Output]) -> Result<RunOptions<HasSelectedOutputs>, ort::Error> {
    let selector = outputs
        .iter()
        .fold(OutputSelector::no_default(), |selector, output| selector.with(output.name()));
    Ok(RunOptions::new()?.with_outputs(selector))
}

/// A builder for sessions on `plan`'s device.
pub(super) fn builder(
    library: &Library,
    plan: SessionPlan,
) -> Result<SessionBuilder, SessionError> {
    let builder = OrtSession::builder(&library.environment)
        .and_then(|builder| configure(builder, plan.threads))
        .map_err(|error| SessionError::Model { reason: said(&error) })?;
    match provider(plan.device) {
        None => Ok(builder),
        Some(provider) => builder.with_execution_providers([provider]).map_err(|error| {
            SessionError::Device { device: plan.device, reason: said(&error.into()) }
        }),
    }
}

fn configure(builder: SessionBuilder, threads: usize) -> Result<SessionBuilder, ort::Error> {
    Ok(builder
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // A spinning pool burns the cores that decoding needs between two runs.
        .with_intra_op_spinning(false)?)
}

fn provider(device: Device) -> Option<ExecutionProviderDispatch> {
    match device {
        Device::Cpu => None,
        // Without `error_on_failure` a missing driver means a silent run on the CPU.
        Device::Cuda(number) => {
            Some(ep::CUDA::default().with_device_id(i32::from(number)).build().error_on_failure())
        }
    }
}

/// ONNX Runtime's word, without ours around it.
pub(super) fn said(error: &ort::Error) -> String {
    error.message().to_owned()
}
