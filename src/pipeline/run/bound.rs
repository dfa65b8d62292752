//! Input and output buffers for each batch size, in pinned memory that is bound to the session. A
//! GPU copies pinned memory by DMA; from other memory its driver makes an additional copy.
//!
//! A CUDA graph always uses the addresses with which it was captured. So with CUDA graphs the session is
//! bound to device memory at fixed addresses, and [`BoundBuffers::run`] copies inputs and outputs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, NoSelectedOutputs, RunOptions, Session};
use ort::value::Tensor;

use super::batch::INPUT;
use super::batch_sizing::RunInput;
use super::error::{RunError, ort_message};
use super::outputs::Outputs;
use super::{InputShape, SessionPlan};
use crate::device::Device;
use crate::pipeline::Output;

/// The run option with the id of a CUDA graph: one graph for each batch size.
const GRAPH: &str = "gpu_graph_id";
/// Disables the CUDA graph for a run.
pub(super) const NO_GRAPH: (&str, &str) = (GRAPH, "-1");

/// One [`BoundBuffers`] for each batch size, allocated on first use and kept.
pub(super) struct Bound {
    allocators: Allocators,
    /// The outputs to fetch, and their shapes for one image.
    outputs: Vec<(Output, Vec<usize>)>,
    buffers: BTreeMap<usize, BoundBuffers>,
}

/// Allocators of bound memory.
struct Allocators {
    /// Pinned host memory, which a GPU can access.
    host: Allocator,
    /// Device memory, with CUDA graphs.
    device: Option<Allocator>,
}

impl Bound {
    /// Buffers for a session of `plan` that fetches `wanted`.
    pub(super) fn new(
        loaded: &Session,
        plan: SessionPlan,
        wanted: &[Output],
    ) -> Result<Self, ort::Error> {
        let memory = |kind, number, place| {
            let memory = MemoryInfo::new(kind, number, AllocatorType::Device, place)?;
            Allocator::new(loaded, memory)
        };
        let (near, far, number) = match plan.device {
            Device::Cpu => (AllocationDevice::CPU, AllocationDevice::CPU, 0),
            Device::Cuda(number) => {
                (AllocationDevice::CUDA_PINNED, AllocationDevice::CUDA, number.into())
            }
        };
        let host = memory(near, number, MemoryType::CPUInput)?;
        let on_device = || memory(far, number, MemoryType::Default);
        let outputs = wanted
            .iter()
            .map(|&output| Ok((output, shape(loaded, output)?)))
            .collect::<Result<_, ort::Error>>()?;
        let device = plan.cuda_graphs.then(on_device).transpose()?;
        let allocators = Allocators { host, device };
        Ok(Self { allocators, outputs, buffers: BTreeMap::new() })
    }

    /// Runs `part`, whose images have the size `shape`.
    pub(super) fn run(
        &mut self,
        loaded: &mut Session,
        part: &RunInput<'_>,
        shape: InputShape,
    ) -> Result<Outputs, RunError> {
        let failed = |error: ort::Error| RunError::Runtime(ort_message(&error));
        let Self { allocators, outputs, buffers } = self;
        let buffers = match buffers.entry(part.slots) {
            Entry::Occupied(allocated) => allocated.into_mut(),
            Entry::Vacant(free) => {
                let allocated = BoundBuffers::new(loaded, allocators, outputs, part.slots, shape);
                free.insert(allocated.map_err(failed)?)
            }
        };
        buffers.run(loaded, &part.bytes).map_err(failed)?;
        buffers.outputs(part.slots)
    }
}

/// Buffers for one batch size.
struct BoundBuffers {
    binding: IoBinding,
    /// The host buffer, written before a run.
    input: Tensor<u8>,
    /// The device buffer, with CUDA graphs.
    input_on_device: Option<Tensor<u8>>,
    results: Vec<Bindings>,
    options: RunOptions<NoSelectedOutputs>,
}

/// Buffers of one output.
struct Bindings {
    output: Output,
    /// The host buffer, read after a run.
    values: Tensor<f32>,
    /// The device buffer, with CUDA graphs.
    on_device: Option<Tensor<f32>>,
}

impl BoundBuffers {
    fn new(
        loaded: &Session,
        Allocators { host, device }: &Allocators,
        outputs: &[(Output, Vec<usize>)],
        slots: usize,
        InputShape { height, width }: InputShape,
    ) -> Result<Self, ort::Error> {
        let shape = [slots, height, width, 3];
        let input = Tensor::<u8>::new(host, shape)?;
        let device = device.as_ref();
        let input_on_device = device.map(|memory| Tensor::<u8>::new(memory, shape)).transpose()?;
        let mut binding = loaded.create_binding()?;
        if let Some(input) = &input_on_device {
            binding.bind_input(INPUT, input)?;
        }
        let mut results = Vec::with_capacity(outputs.len());
        for (output, shape) in outputs {
            let shape: Vec<usize> = std::iter::once(slots).chain(shape.iter().copied()).collect();
            let mut values = Tensor::<f32>::new(host, &shape[..])?;
            let mut on_device =
                device.map(|memory| Tensor::<f32>::new(memory, &shape[..])).transpose()?;
            binding.bind_output(output.name(), on_device.as_mut().unwrap_or(&mut values))?;
            results.push(Bindings { output: *output, values, on_device });
        }
        let mut options = RunOptions::new()?;
        if device.is_some() {
            options.set(GRAPH, slots.to_string())?;
        }
        Ok(Self { binding, input, input_on_device, results, options })
    }

    fn run(&mut self, loaded: &mut Session, pixels: &[u8]) -> Result<(), ort::Error> {
        self.input.try_extract_tensor_mut::<u8>()?.1.copy_from_slice(pixels);
        match &mut self.input_on_device {
            Some(input) => self.input.copy_into(input)?,
            // Binding copies it to the device immediately.
            None => self.binding.bind_input(INPUT, &self.input)?,
        }
        self.binding.synchronize_inputs()?;
        loaded.run_binding_with_options(&self.binding, &self.options)?;
        self.binding.synchronize_outputs()?;
        for Bindings { values, on_device, .. } in &mut self.results {
            if let Some(on_device) = on_device {
                on_device.copy_into(values)?;
            }
        }
        Ok(())
    }

    /// The outputs of the last run, with `slots` images.
    fn outputs(&self, slots: usize) -> Result<Outputs, RunError> {
        let fetch = |Bindings { output, values, .. }: &Bindings| {
            let tensor = values.try_extract_tensor::<f32>();
            let (shape, values) = tensor.map_err(|error| RunError::Runtime(ort_message(&error)))?;
            Outputs::fetch(slots, *output, shape, values)
        };
        Ok(Outputs::of(self.results.iter().map(fetch).collect::<Result<_, _>>()?))
    }
}

/// The shape of one image's values in `output`, if the graph declares it.
fn shape(loaded: &Session, output: Output) -> Result<Vec<usize>, ort::Error> {
    let name = output.name();
    let declared = loaded.outputs().iter().find(|value| value.name() == name);
    let shape = declared.and_then(|value| value.dtype().tensor_shape()).and_then(|shape| {
        let sides = shape.iter().skip(1).map(|&side| usize::try_from(side).ok());
        sides.collect::<Option<Vec<_>>>()
    });
    shape.ok_or_else(|| ort::Error::new(format!("the graph does not declare the shape of {name}")))
}
