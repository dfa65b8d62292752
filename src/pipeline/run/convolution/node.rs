//! A convolution as ONNX Runtime's node describes it.

use std::collections::HashMap;

use super::attributes::Attributes;
use crate::kernels::{self, Geometry, QLinearConv};
use crate::onnx::OnnxModel;
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::{NodeProto, TensorProto};

// The inputs of the node, by number.
pub(super) const X: usize = 0;
const X_SCALE: usize = 1;
const X_ZERO: usize = 2;
const WEIGHTS: usize = 3;
const WEIGHT_SCALES: usize = 4;
const WEIGHT_ZEROS: usize = 5;
const Y_SCALE: usize = 6;
const Y_ZERO: usize = 7;
const BIAS: usize = 8;

/// The constants of a graph by name.
pub(super) struct GraphConstants<'a>(HashMap<&'a str, &'a TensorProto>);

impl<'a> GraphConstants<'a> {
    pub(super) fn of(model: &'a OnnxModel) -> Self {
        Self(model.graph().initializer.iter().map(|tensor| (tensor.name(), tensor)).collect())
    }

    /// The convolution of a node, if `is_faster_here` accepts it; `None` also if a kernel cannot compute it.
    pub(super) fn convolution(
        &self,
        node: &NodeProto,
        is_faster_here: impl Fn(&Geometry) -> bool,
    ) -> Option<QLinearConv> {
        let constant = |input: usize| self.0.get(node.input.get(input)?.as_str()).copied();
        let single = |input: usize| match *constant(input)?.to_floats()? {
            [scale] => Some(scale),
            _ => None,
        };
        let zero = |input: usize| match *constant(input)?.to_ints()? {
            [zero] => u8::try_from(zero).ok(),
            _ => None,
        };
        let weights = constant(WEIGHTS)?;
        let geometry = Attributes::of(node).geometry(&weights.dims).filter(is_faster_here)?;
        let is_symmetric = constant(WEIGHT_ZEROS)?.to_ints()?.iter().all(|&zero| zero == 0);
        if weights.data_type() != DataType::Int8 as i32 || !is_symmetric {
            return None;
        }
        let weights = weights.to_ints()?.into_iter().map(|weight| i8::try_from(weight).ok());
        let (x_scale, y_scale) = (single(X_SCALE)?, single(Y_SCALE)?);
        let weight_scales = match &*constant(WEIGHT_SCALES)?.to_floats()? {
            &[scale] => vec![scale; geometry.outputs],
            scales => scales.to_vec(),
        };
        let has_bias = node.input.get(BIAS).is_some_and(|name| !name.is_empty());
        let constants = kernels::Constants {
            weights: weights.collect::<Option<_>>()?,
            bias: if has_bias { constant(BIAS)?.to_ints()? } else { vec![0; geometry.outputs] },
            // In the order of ONNX Runtime, for the same bits.
            scales: weight_scales.iter().map(|scale| x_scale * scale / y_scale).collect(),
            x_zero: zero(X_ZERO)?,
            y_zero: zero(Y_ZERO)?,
        };
        let is_fast = constants.has_small_scales();
        is_fast.then(|| QLinearConv::new(geometry, constants).ok()).flatten()
    }
}
