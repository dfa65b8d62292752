//! An input of a request: name, datatype, shape and data.

use bytes::{Buf, Bytes};

use crate::http::problem::Problem;
use crate::http::upload::MAX_IMAGES;

/// Maximum number of images in one request.
pub(super) const MAX_BATCH: usize = MAX_IMAGES;

/// The supported datatypes; the protocol has more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Datatype {
    /// One byte.
    Uint8,
    /// Four bytes, little-endian.
    Fp32,
    /// Byte strings of any length.
    Bytes,
}

/// One input.
#[derive(Debug, Clone)]
pub(super) struct InferTensor {
    pub(super) name: String,
    pub(super) datatype: Datatype,
    pub(super) shape: Vec<i64>,
    pub(super) data: TensorData,
}

/// The elements of a tensor, in row-major order.
#[derive(Debug, Clone)]
pub(super) enum TensorData {
    /// In the format of the binary extension: little-endian, and BYTES elements preceded by their lengths.
    Raw(Bytes),
    /// BYTES, split into elements.
    Elements(Vec<Bytes>),
}

impl TensorData {
    /// Bytes of all elements.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Raw(raw) => raw.len(),
            Self::Elements(elements) => elements.iter().map(Bytes::len).sum(),
        }
    }
}

impl Datatype {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Uint8 => "UINT8",
            Self::Fp32 => "FP32",
            Self::Bytes => "BYTES",
        }
    }

    /// Parses the datatype `name` of the input `input`.
    pub(super) fn read(name: &str, input: &str) -> Result<Self, Problem> {
        [Self::Uint8, Self::Fp32, Self::Bytes]
            .into_iter()
            .find(|datatype| datatype.name() == name)
            .ok_or_else(|| {
                Problem::invalid_parameter(format!(
                    "input {input:?} has the datatype {name:?}; UINT8, FP32 and BYTES are taken"
                ))
            })
    }
}

/// Splits binary BYTES, in which each element is preceded by its length (four bytes, little-endian).
pub(super) fn elements(mut raw: Bytes, input: &str) -> Result<Vec<Bytes>, Problem> {
    let mut elements = Vec::new();
    while raw.has_remaining() {
        if elements.len() == MAX_BATCH {
            return Err(too_many(input));
        }
        let cut = |left| {
            Problem::invalid_parameter(format!(
                "the data of input {input:?} end inside element {}, with {left} bytes left; before \
                 each element stands its length, four bytes, little-endian",
                elements.len()
            ))
        };
        let length = raw.try_get_u32_le().map_err(|_| cut(raw.remaining()))?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > raw.remaining() {
            return Err(cut(raw.remaining()));
        }
        elements.push(raw.split_to(length));
    }
    Ok(elements)
}

/// More images than one request may have.
pub(super) fn too_many(input: &str) -> Problem {
    Problem::invalid_parameter(format!(
        "input {input:?} has more than {MAX_BATCH} images; send fewer at once"
    ))
}
