//! Input tensors in memory that the device likes. A GPU copies pinned memory by itself, and from any other
//! its driver copies once more.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;
use ort::value::Tensor;

use super::Device;

/// One tensor for each number of images, made when first used and kept.
pub(super) struct Staging {
    allocator: Allocator,
    tensors: BTreeMap<usize, Tensor<u8>>,
}

impl Staging {
    /// For a session on `device`: pinned memory for a GPU, and ONNX Runtime's own on a CPU.
    pub(super) fn new(loaded: &Session, device: Device) -> Result<Self, ort::Error> {
        let (kind, number) = match device {
            Device::Cpu => (AllocationDevice::CPU, 0),
            Device::Cuda(number) => (AllocationDevice::CUDA_PINNED, i32::from(number)),
        };
        let memory = MemoryInfo::new(kind, number, AllocatorType::Device, MemoryType::CPUInput)?;
        Ok(Self { allocator: Allocator::new(loaded, memory)?, tensors: BTreeMap::new() })
    }

    /// `pixels` as a tensor uint8 `[images, height, width, 3]`, until the next of as many images. A
    /// session's images are all of one height and width.
    pub(super) fn fill(
        &mut self,
        shape: [usize; 4],
        pixels: &[u8],
    ) -> Result<&Tensor<u8>, ort::Error> {
        let tensor = match self.tensors.entry(shape[0]) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(place) => place.insert(Tensor::new(&self.allocator, shape)?),
        };
        tensor.try_extract_tensor_mut::<u8>()?.1.copy_from_slice(pixels);
        Ok(tensor)
    }
}
