//! An ONNX Runtime session for a model; runs batches. Model loading and request handling meet here.

use std::fmt;

use ort::ep::{self, ExecutionProviderDispatch};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session as OrtSession};
use ort::value::TensorRef;

use super::batch::INPUT;
use super::batch_sizing::{BatchSizing, RunInput};
use super::bound::{Bound, NO_GRAPH};
use super::error::{RunError, ort_message};
use super::outputs::Outputs;
use super::{Batch, InputShape, Library, SessionPlan};
use crate::device::Device;
use crate::model::int8;
use crate::pipeline::Output;

/// A session could not be opened. `reason` is the error text from ONNX Runtime.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The device cannot be used.
    #[error(
        "device {device} is not available: {reason}\n\
         hint: CUDA needs the GPU build of ONNX Runtime (onnxruntime-gpu), an NVIDIA driver, and \
         the CUDA and cuDNN libraries that it was built for; --device cpu runs without them"
    )]
    Device {
        /// The requested device.
        device: Device,
        /// The error text from ONNX Runtime.
        reason: String,
    },
    /// ONNX Runtime cannot load the model on a GPU, because of the model or of the GPU.
    #[error(
        "the model cannot be loaded on {device}: {reason}\nhint: --device cpu runs without the GPU"
    )]
    ModelOnDevice {
        /// The requested device.
        device: Device,
        /// The error text from ONNX Runtime.
        reason: String,
    },
    /// ONNX Runtime cannot load the model.
    #[error("ONNX Runtime cannot load the model: {reason}")]
    Model {
        /// The error text from ONNX Runtime.
        reason: String,
    },
}

/// A graph loaded on a device. Each worker owns one.
pub struct Session {
    loaded: OrtSession,
    wanted: Vec<Output>,
    options: RunOptions<HasSelectedOutputs>,
    plan: SessionPlan,
    sizing: BatchSizing,
    /// Bound memory, on a GPU.
    bound: Option<Bound>,
}

impl Session {
    /// Loads ONNX `bytes` and selects the outputs to fetch in each run.
    ///
    /// # Errors
    ///
    /// [`SessionError`] if the device is not available (no other device is used instead) or the model does
    /// not load.
    pub fn open(
        library: &Library,
        bytes: &[u8],
        plan: SessionPlan,
        wanted: &[Output],
    ) -> Result<Self, SessionError> {
        Self::commit(builder(library, plan)?, bytes, plan, wanted)
    }

    /// Loads ONNX `bytes` with `builder`.
    pub(super) fn commit(
        mut builder: SessionBuilder,
        bytes: &[u8],
        plan: SessionPlan,
        wanted: &[Output],
    ) -> Result<Self, SessionError> {
        let loaded = builder.commit_from_memory(bytes).map_err(|error| match plan.device {
            Device::Cpu => SessionError::Model { reason: ort_message(&error) },
            device @ Device::Cuda(_) => {
                SessionError::ModelOnDevice { device, reason: ort_message(&error) }
            }
        })?;
        let options = fetching(wanted, plan)
            .map_err(|error| SessionError::Model { reason: ort_message(&error) })?;
        let sizing = BatchSizing::of(plan.device, fixed_batch(&loaded));
        let bind = || Bound::new(&loaded, plan, wanted);
        let bound = match plan.device {
            Device::Cpu => None,
            device @ Device::Cuda(_) if plan.cuda_graphs => {
                Some(bind().map_err(|error| SessionError::Device {
                    device,
                    reason: format!("no CUDA graphs: {}", ort_message(&error)),
                })?)
            }
            Device::Cuda(_) => bind()
                .inspect_err(|error| {
                    tracing::warn!(
                        error = ort_message(error),
                        "cannot bind pinned memory: copies to the GPU will be slower"
                    );
                })
                .ok(),
        };
        Ok(Self { loaded, wanted: wanted.to_vec(), options, plan, sizing, bound })
    }

    /// Binds memory as on a GPU, for tests on the CPU, where it adds a copy.
    ///
    /// # Errors
    ///
    /// [`SessionError::Model`] if the memory cannot be allocated.
    pub fn bound(self) -> Result<Self, SessionError> {
        self.bound_as(SessionPlan { cuda_graphs: false, ..SessionPlan::on_cpu(1) })
    }

    /// Like [`Session::bound`], with memory as for CUDA graphs, which adds two copies on the CPU.
    ///
    /// # Errors
    ///
    /// [`SessionError::Model`] if the memory cannot be allocated.
    pub fn bound_for_graphs(self) -> Result<Self, SessionError> {
        self.bound_as(SessionPlan { cuda_graphs: true, ..SessionPlan::on_cpu(1) })
    }

    fn bound_as(self, plan: SessionPlan) -> Result<Self, SessionError> {
        let bound = Bound::new(&self.loaded, plan, &self.wanted)
            .map_err(|error| SessionError::Model { reason: ort_message(&error) })?;
        Ok(Self { bound: Some(bound), ..self })
    }

    /// Runs grey batches of all sizes that are needed for up to `max_batch` images.
    ///
    /// # Errors
    ///
    /// [`RunError`] if the graph loads but does not run.
    pub fn warm_up(&mut self, input: InputShape, max_batch: usize) -> Result<(), RunError> {
        // The largest first, so that the arena grows only once.
        for images in self.sizing.warm_up_batches(max_batch) {
            self.run(&Batch::grey(input, images))?;
        }
        Ok(())
    }

    /// Runs uint8 `[N, H, W, 3]` and fetches the selected outputs and the batch's additional ones.
    ///
    /// # Errors
    ///
    /// [`RunError`]; the session remains usable.
    pub fn run(&mut self, batch: &Batch) -> Result<Outputs, RunError> {
        let extras = batch.extras().iter().filter(|extra| !self.wanted.contains(extra));
        let extras: Vec<Output> = extras.copied().collect();
        let mut outputs: Option<Outputs> = None;
        for part in self.sizing.parts(batch) {
            let mut ran = match &mut self.bound {
                Some(bound) if extras.is_empty() => {
                    bound.run(&mut self.loaded, &part, batch.input())?
                }
                Some(_) | None => self.run_unbound(&part, batch.input(), &extras)?,
            };
            ran.truncate(part.images);
            match &mut outputs {
                None => outputs = Some(ran),
                Some(outputs) => outputs.append(ran),
            }
        }
        Ok(outputs.unwrap_or_else(|| Outputs::of(Vec::new())))
    }

    /// Runs `part` without bound memory, and fetches `extras` too.
    fn run_unbound(
        &mut self,
        part: &RunInput<'_>,
        InputShape { height, width }: InputShape,
        extras: &[Output],
    ) -> Result<Outputs, RunError> {
        let failed = |error: ort::Error| RunError::Runtime(ort_message(&error));
        let fetched: Vec<Output> = self.wanted.iter().chain(extras).copied().collect();
        let with_extras = match extras {
            [] => None,
            [_, ..] => Some(fetching(&fetched, self.plan).map_err(failed)?),
        };
        let options = with_extras.as_ref().unwrap_or(&self.options);
        let shape = [part.slots, height, width, 3];
        let input = TensorRef::from_array_view((shape, &*part.bytes)).map_err(failed)?;
        let answers =
            self.loaded.run_with_options(ort::inputs![INPUT => input], options).map_err(failed)?;
        let tensors = fetched.iter().map(|&output| {
            let (shape_found, values) =
                answers[output.name()].try_extract_tensor::<f32>().map_err(failed)?;
            Outputs::fetch(part.slots, output, shape_found, values)
        });
        Ok(Outputs::of(tensors.collect::<Result<_, _>>()?))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// The first dimension of the input, if the graph has a fixed one.
fn fixed_batch(loaded: &OrtSession) -> Option<usize> {
    let shape = loaded.inputs().first()?.dtype().tensor_shape()?;
    usize::try_from(*shape.first()?).ok().filter(|&images| images > 0)
}

/// Options of a run with unbound memory that fetches only `outputs`.
fn fetching(
    outputs: &[Output],
    plan: SessionPlan,
) -> Result<RunOptions<HasSelectedOutputs>, ort::Error> {
    let selector = outputs
        .iter()
        .fold(OutputSelector::no_default(), |selector, output| selector.with(output.name()));
    let mut options = RunOptions::new()?.with_outputs(selector);
    if plan.cuda_graphs {
        options.set(NO_GRAPH.0, NO_GRAPH.1)?;
    }
    Ok(options)
}

/// A builder for sessions on `plan`'s device.
pub(super) fn builder(
    library: &Library,
    plan: SessionPlan,
) -> Result<SessionBuilder, SessionError> {
    let builder = OrtSession::builder(&library.environment)
        .and_then(|builder| configure(builder, plan))
        .map_err(|error| SessionError::Model { reason: ort_message(&error) })?;
    match provider(plan) {
        None => Ok(builder),
        Some(provider) => builder.with_execution_providers([provider]).map_err(|error| {
            SessionError::Device { device: plan.device, reason: ort_message(&error.into()) }
        }),
    }
}

/// Selects unsigned weights in ONNX Runtime, for processors on which sums of signed and unsigned products
/// saturate. Not set with VNNI, where it has no benefit and more than halves the speed.
const EXACT_INT8: &str = "session.x64quantprecision";

fn configure(builder: SessionBuilder, plan: SessionPlan) -> Result<SessionBuilder, ort::Error> {
    let builder = match int8::why_not() {
        Some(_) => builder.with_config_entry(EXACT_INT8, "1")?,
        None => builder,
    };
    Ok(builder
        .with_optimization_level(GraphOptimizationLevel::All)?
        // Memory patterns (a plan and a memory block for each batch size) are not faster on a CPU.
        .with_memory_pattern(plan.device != Device::Cpu)?
        .with_intra_threads(plan.threads)?
        .with_inter_threads(1)?
        // A spinning pool would use the cores that decoding needs between two runs.
        .with_intra_op_spinning(false)?)
}

fn provider(plan: SessionPlan) -> Option<ExecutionProviderDispatch> {
    match plan.device {
        Device::Cpu => None,
        Device::Cuda(number) => {
            let cuda = ep::CUDA::default()
                .with_device_id(i32::from(number))
                .with_cuda_graph(plan.cuda_graphs);
            // Without `error_on_failure`, a missing driver would silently select the CPU.
            Some(cuda.build().error_on_failure())
        }
    }
}
