//! The kernels for int8 convolutions, as an operator of ONNX Runtime.
//!
//! ONNX Runtime optimises a graph of int8 arithmetic to operators with channels last. There, the convolutions for which
//! this program has a faster kernel get the operator [`OWN`] instead of ONNX Runtime's [`THEIRS`]. Inputs and
//! attributes are the same, and so is every bit of the output.

mod attributes; // its shape
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use memchr::memmem;
use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::value::{DynTensorValueType, PrimitiveTensorElementType, TensorElementType};

use self::attributes::Attributes;
use crate::kernels::{
    Constants, ConvolutionKernel, Extent, Geometry, ImageBytes, Mismatch, QLinearConv,
};
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::proto::{NodeProto, TensorProto};
use crate::onnx::{Model, OperatorName, Replaced};

/// ONNX Runtime's operator.
const THEIRS: OperatorName<'static> = OperatorName { domain: "com.microsoft", name: "QLinearConv" };
/// This program's operator.
const OWN: OperatorName<'static> = OperatorName { domain: "resnetd", name: "QLinearConv" };

// The inputs of both, by number.
const X: usize = 0;
const X_SCALE: usize = 1;
const X_ZERO: usize = 2;
const WEIGHTS: usize = 3;
const WEIGHT_SCALES: usize = 4;
const WEIGHT_ZEROS: usize = 5;
const Y_SCALE: usize = 6;
const Y_ZERO: usize = 7;
const BIAS: usize = 8;

/// Whether the model in `bytes` has int8 arithmetic, without which nothing can be replaced.
pub(super) fn may_replace(bytes: &[u8]) -> bool {
    ConvolutionKernel::is_available() && memmem::find(bytes, b"QuantizeLinear").is_some()
}

/// The optimised graph `model` with this program's operator for the convolutions that `is_meant` accepts. `None` if there
/// are none.
pub(super) fn replace(model: &Model, is_meant: impl Fn(&Geometry) -> bool) -> Option<Replaced> {
    let initializers = &model.graph().initializer;
    let constants: HashMap<&str, &TensorProto> =
        initializers.iter().map(|tensor| (tensor.name(), tensor)).collect();
    let is_meant = |node: &NodeProto| {
        let constant = |input: usize| constants.get(node.input.get(input)?.as_str()).copied();
        (X_SCALE..=Y_ZERO).all(|input| constant(input).is_some())
            && node.input.get(BIAS).is_none_or(|_| constant(BIAS).is_some())
            && constant(WEIGHTS)
                .filter(|weights| weights.data_type() == DataType::Int8 as i32)
                .and_then(|weights| Attributes::of(node).geometry(&weights.dims))
                .is_some_and(|geometry| is_meant(&geometry))
    };
    model.replace_operators(THEIRS, OWN, is_meant)
}

/// The operator, for a session whose runs have so many threads.
///
/// # Errors
///
/// ONNX Runtime's.
pub(super) fn domain(threads: usize) -> ort::Result<OperatorDomain> {
    OperatorDomain::new(OWN.domain)?.add(ConvolutionOperator { threads })
}

/// The description of the operator.
struct ConvolutionOperator {
    threads: usize,
}

impl Operator for ConvolutionOperator {
    type Kernel<'attr> = RunningConvolution;

    fn name(&self) -> &str {
        OWN.name
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        use TensorElementType::{Float32, Int8, Int32, Uint8};
        let required = [Uint8, Float32, Uint8, Int8, Float32, Int8, Float32, Uint8];
        required.map(OperatorInput::required).into_iter().chain([OperatorInput::optional(Int32)])
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Uint8)]
    }

    fn create_kernel<'attr>(
        &self,
        context: &KernelContext<'attr>,
    ) -> ort::Result<Self::Kernel<'attr>> {
        let convolution = convolution(context)?;
        Ok(RunningConvolution {
            kernel: ConvolutionKernel::new(convolution),
            threads: self.threads,
        })
    }
}

/// Reads a convolution from the constants and attributes of its node.
fn convolution(context: &KernelContext<'_>) -> ort::Result<QLinearConv> {
    let (shape, weights) = constant::<i8>(context, WEIGHTS)?;
    let geometry = Attributes::of_kernel(context)
        .geometry(&shape)
        .ok_or_else(|| ort::Error::new("not a convolution for this kernel"))?;
    if constant::<i8>(context, WEIGHT_ZEROS)?.1.iter().any(|&zero| zero != 0) {
        return Err(ort::Error::new("weights with a zero point"));
    }
    let x_scale = single::<f32>(context, X_SCALE)?;
    let y_scale = single::<f32>(context, Y_SCALE)?;
    let weight_scales = constant::<f32>(context, WEIGHT_SCALES)?.1;
    let weight_scales = match &*weight_scales {
        &[scale] => vec![scale; geometry.outputs],
        _ => weight_scales,
    };
    let bias = match context.inputs()?.len() {
        ..=BIAS => vec![0; geometry.outputs],
        _ => constant::<i32>(context, BIAS)?.1,
    };
    let constants = Constants {
        weights,
        bias,
        // In the order of ONNX Runtime, for the same bits.
        scales: weight_scales.iter().map(|scale| x_scale * scale / y_scale).collect(),
        x_zero: single(context, X_ZERO)?,
        y_zero: single(context, Y_ZERO)?,
    };
    QLinearConv::new(geometry, constants).map_err(said)
}

/// The shape and the elements of a constant input.
fn constant<T: PrimitiveTensorElementType + Clone>(
    context: &KernelContext<'_>,
    input: usize,
) -> ort::Result<(Vec<i64>, Vec<T>)> {
    let value = context.constant_input::<DynTensorValueType>(input)?;
    let (shape, elements) = value.try_extract_tensor::<T>()?;
    Ok((shape.to_vec(), elements.to_vec()))
}

/// A constant input of one element.
fn single<T: PrimitiveTensorElementType + Copy>(
    context: &KernelContext<'_>,
    input: usize,
) -> ort::Result<T> {
    match &*constant::<T>(context, input)?.1 {
        &[element] => Ok(element),
        _ => Err(ort::Error::new("a scale or zero point has several elements")),
    }
}

/// The operator in one session.
struct RunningConvolution {
    kernel: ConvolutionKernel,
    threads: usize,
}

impl Kernel for RunningConvolution {
    /// From uint8 `[N, H, W, inputs]` to uint8 `[N, H', W', outputs]`.
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let x = context.input(X)?.ok_or_else(|| ort::Error::new("there is no input"))?;
        let (shape, levels) = x.try_extract_tensor::<u8>()?;
        let sizes: Vec<usize> = shape.iter().map_while(|&side| side.try_into().ok()).collect();
        let &[images, rows, columns, channels] = &*sizes else {
            return Err(ort::Error::new("the input does not have four dimensions"));
        };
        let geometry = self.kernel.convolution().geometry();
        let size = Extent { rows, columns };
        let output = geometry.output(size).map_err(said)?;
        let shape = [images, output.rows, output.columns, geometry.outputs];
        let mut y =
            context.output(0, shape)?.ok_or_else(|| ort::Error::new("there is no output"))?;
        let (_, y) = y.try_extract_tensor_mut::<u8>()?;
        let image = (rows * columns * channels).max(1);
        let parts: Vec<Part<'_>> = levels
            .chunks_exact(image)
            .zip(y.chunks_exact_mut(output.rows * output.columns * geometry.outputs))
            .flat_map(|(bytes, y)| {
                let rows = output.rows.div_ceil(self.threads);
                let image = ImageBytes { bytes, size };
                let parts = y.chunks_mut(rows * output.columns * geometry.outputs);
                parts.enumerate().map(move |(part, y)| Part { image, first: part * rows, rows: y })
            })
            .collect();
        self.run(context, parts)
    }
}

/// Some rows of an image's output.
struct Part<'a> {
    image: ImageBytes<'a>,
    first: usize,
    rows: &'a mut [u8],
}

impl RunningConvolution {
    fn run(&self, context: &ComputeContext, parts: Vec<Part<'_>>) -> ort::Result<()> {
        if self.threads == 1 {
            return parts.into_iter().try_for_each(|part| self.part(part));
        }
        let results: Vec<_> =
            parts.into_iter().map(|part| Mutex::new((Some(part), Ok(())))).collect();
        context.par_for(results.len(), 0, |number| {
            let mut result = results[number].lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(part) = result.0.take() {
                result.1 = self.part(part);
            }
        })?;
        results
            .into_iter()
            .try_for_each(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// A panic must not reach ONNX Runtime, which is not written in Rust.
    fn part(&self, part: Part<'_>) -> ort::Result<()> {
        let Part { image, first, rows } = part;
        catch_unwind(AssertUnwindSafe(|| self.kernel.rows(image, first, rows)))
            .unwrap_or(Err(Mismatch::Image))
            .map_err(said)
    }
}

fn said(mismatch: Mismatch) -> ort::Error {
    ort::Error::new(mismatch.to_string())
}
