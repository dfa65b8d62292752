//! A tensor of a file, which can be read as float32.

use std::collections::BTreeMap;

use bytes::Bytes;
use half::{bf16, f16};

/// Type of a tensor's elements.
pub type DataType = safetensors::Dtype;

/// Tensors by name.
pub(super) type Tensors = BTreeMap<String, Tensor>;

/// A tensor of a file.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub(super) data_type: DataType,
    pub(super) shape: Vec<usize>,
    /// Row-major, little-endian; a slice of the file's bytes.
    pub(super) bytes: Bytes,
}

impl Tensor {
    pub(super) fn from_values(shape: Vec<usize>, values: &[f32]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "shape and elements differ");
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { data_type: DataType::F32, shape, bytes }
    }

    /// Its shape, row-major.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Type of its elements in the file.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        self.data_type
    }

    /// Its elements as float32, row-major; `None` if the file does not have floating point numbers
    /// of 16, 32 or 64 bits.
    #[must_use]
    pub fn values(&self) -> Option<Vec<f32>> {
        let bytes = &self.bytes;
        #[expect(clippy::cast_possible_truncation, reason = "rounding to float32 is the purpose")]
        let from_f64 = |element| f64::from_le_bytes(element) as f32;
        if self.data_type == DataType::F32 {
            Some(elements(bytes, f32::from_le_bytes))
        } else if self.data_type == DataType::F16 {
            Some(elements(bytes, |element| f16::from_le_bytes(element).to_f32()))
        } else if self.data_type == DataType::BF16 {
            Some(elements(bytes, |element| bf16::from_le_bytes(element).to_f32()))
        } else if self.data_type == DataType::F64 {
            Some(elements(bytes, from_f64))
        } else {
            None
        }
    }
}

fn elements<const SIZE: usize>(bytes: &[u8], read: impl Fn([u8; SIZE]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<SIZE>().0.iter().map(|&element| read(element)).collect()
}
