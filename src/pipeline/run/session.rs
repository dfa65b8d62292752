//! ONNX bytes become a session; a batch becomes scores. Here the two rivers meet.

use std::borrow::Cow;
use std::fmt;

use ort::ep::{self, ExecutionProviderDispatch};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{
    HasSelectedOutputs, OutputSelector, RunOptions, Session as OrtSession, SessionInputValue,
};
use ort::value::TensorRef;

use super::outputs::{Output, Outputs};
use super::slots::Slots;
use super::staging::Staging;
use super::{Batch, Device, InputShape, Library};

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
    slots: Slots,
    /// Where the input is copied to before a run, where that pays.
    staging: Option<Staging>,
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
        let slots = Slots::of(plan.device, fixed_batch(&loaded));
        let staging = match plan.device {
            Device::Cpu => None,
            Device::Cuda(_) => Staging::new(&loaded, plan.device)
                .inspect_err(|error| {
                    let reason = said(error);
                    tracing::warn!(reason, "no pinned memory: images reach the GPU more slowly");
                })
                .ok(),
        };
        Ok(Self { loaded, wanted: wanted.to_vec(), options, slots, staging })
    }

    /// The same session, which copies each batch into memory of ONNX Runtime before it is run. On a
    /// GPU every session does so; on a CPU it is one copy more than is needed.
    ///
    /// # Errors
    ///
    /// [`SessionError::Model`] where there is no such memory.
    pub fn staged(self) -> Result<Self, SessionError> {
        let staging = Staging::new(&self.loaded, Device::Cpu)
            .map_err(|error| SessionError::Model { reason: said(&error) })?;
        Ok(Self { staging: Some(staging), ..self })
    }

    /// Runs batches of grey, so that no batch of up to `max_batch` images is the first of its kind.
    ///
    /// # Errors
    ///
    /// [`RunError`]: the graph loads and does not run.
    pub fn warm_up(&mut self, input: InputShape, max_batch: usize) -> Result<(), RunError> {
        // The largest first, so that the arena grows once.
        for images in self.slots.to_warm(max_batch) {
            self.run(&Batch::grey(input, images))?;
        }
        Ok(())
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
        let options = with_extras.as_ref().unwrap_or(&self.options);
        let [_, height, width, channels] = batch.shape();
        let mut outputs: Option<Outputs> = None;
        for part in self.slots.parts(batch) {
            let shape = [part.slots, height, width, channels];
            let input = match &mut self.staging {
                None => TensorRef::from_array_view((shape, &*part.bytes)).map(Into::into),
                Some(staging) => staging.fill(shape, &part.bytes).map(Into::into),
            };
            let input = input.map_err(failed)?;
            let mut ran = run_once(&mut self.loaded, options, &fetched, (part.slots, input))?;
            ran.truncate(part.images);
            match &mut outputs {
                None => outputs = Some(ran),
                Some(outputs) => outputs.append(ran),
            }
        }
        Ok(outputs.unwrap_or_else(|| Outputs::of(0, Vec::new())))
    }
}

fn run_once(
    loaded: &mut OrtSession,
    options: &RunOptions<HasSelectedOutputs>,
    fetched: &[Output],
    (images, input): (usize, SessionInputValue<'_>),
) -> Result<Outputs, RunError> {
    let failed = |error: ort::Error| RunError::Runtime(said(&error));
    let answers =
        loaded.run_with_options(ort::inputs!["pixels" => input], options).map_err(failed)?;
    let tensors = fetched.iter().map(|&output| {
        let (shape_found, values) =
            answers[output.name()].try_extract_tensor::<f32>().map_err(failed)?;
        Outputs::fetch(images, output, shape_found, values)
    });
    Ok(Outputs::of(images, tensors.collect::<Result<_, _>>()?))
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// The first dimension of the input, where the graph says it.
fn fixed_batch(loaded: &OrtSession) -> Option<usize> {
    let shape = loaded.inputs().first()?.dtype().tensor_shape()?;
    usize::try_from(*shape.first()?).ok().filter(|&images| images > 0)
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
        .and_then(|builder| configure(builder, plan))
        .map_err(|error| SessionError::Model { reason: said(&error) })?;
    match provider(plan.device) {
        None => Ok(builder),
        Some(provider) => builder.with_execution_providers([provider]).map_err(|error| {
            SessionError::Device { device: plan.device, reason: said(&error.into()) }
        }),
    }
}

fn configure(builder: SessionBuilder, plan: SessionPlan) -> Result<SessionBuilder, ort::Error> {
    Ok(builder
        .with_optimization_level(GraphOptimizationLevel::All)?
        // A plan for each number of images, and a block of memory for each plan: no faster on a CPU.
        .with_memory_pattern(plan.device != Device::Cpu)?
        .with_intra_threads(plan.threads)?
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
