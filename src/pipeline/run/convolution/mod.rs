//! The kernels for int8 convolutions, as an operator of ONNX Runtime.
//!
//! ONNX Runtime optimises a graph of int8 arithmetic to operators with channels last. There, the convolutions for which
//! this program has a faster kernel get the operator [`OWN`] instead of ONNX Runtime's [`THEIRS`], with the same bits in
//! the output. Their constants are packed into kernels, which all sessions share, and removed from the graph.

mod attributes; // its shape
mod node; // a convolution from its node and constants
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use memchr::memmem;
use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::value::TensorElementType;

use self::node::Constants;
use crate::kernels::{ConvolutionKernel, Extent, Geometry, ImageBytes, Mismatch};
use crate::onnx::builder::int_attribute;
use crate::onnx::proto::NodeProto;
use crate::onnx::{Model, OperatorName};

/// ONNX Runtime's operator.
const THEIRS: OperatorName<'static> = OperatorName { domain: "com.microsoft", name: "QLinearConv" };
/// This program's operator.
const OWN: OperatorName<'static> = OperatorName { domain: "resnetd", name: "QLinearConv" };
/// Its attribute, the number of the kernel.
const KERNEL: &str = "kernel";

/// A graph with this program's operator.
pub(super) struct ReplacedGraph {
    /// The model file.
    pub(super) bytes: Bytes,
    /// The kernels of its nodes.
    pub(super) kernels: Arc<[ConvolutionKernel]>,
}

/// Whether the model in `bytes` has int8 arithmetic, without which nothing can be replaced.
pub(super) fn may_replace(bytes: &[u8]) -> bool {
    ConvolutionKernel::is_available() && memmem::find(bytes, b"QuantizeLinear").is_some()
}

/// The optimised graph `model` with this program's operator for the convolutions that `is_meant` accepts. `None` if there
/// are none.
pub(super) fn replace(
    model: &Model,
    is_meant: impl Fn(&Geometry) -> bool,
) -> Option<ReplacedGraph> {
    let constants = Constants::of(model);
    let mut kernels = Vec::new();
    let replaced = model.replace_nodes(OWN, |node| {
        if !THEIRS.is_of(node) {
            return None;
        }
        let convolution = constants.convolution(node, &is_meant)?;
        let number = int_attribute(KERNEL, kernels.len());
        kernels.push(ConvolutionKernel::new(convolution));
        let input = vec![node.input[node::X].clone()];
        Some(NodeProto { input, attribute: vec![number], ..NodeProto::default() })
    });
    let is_any = !kernels.is_empty();
    is_any.then(|| ReplacedGraph { bytes: replaced.to_bytes().into(), kernels: kernels.into() })
}

/// The operator with these kernels, for a session whose runs have so many threads.
///
/// # Errors
///
/// ONNX Runtime's.
pub(super) fn domain(
    kernels: Arc<[ConvolutionKernel]>,
    threads: usize,
) -> ort::Result<OperatorDomain> {
    OperatorDomain::new(OWN.domain)?.add(ConvolutionOperator { kernels, threads })
}

/// The description of the operator.
struct ConvolutionOperator {
    kernels: Arc<[ConvolutionKernel]>,
    threads: usize,
}

impl Operator for ConvolutionOperator {
    type Kernel<'attr> = RunningConvolution;

    fn name(&self) -> &str {
        OWN.name
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(TensorElementType::Uint8)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Uint8)]
    }

    fn create_kernel<'attr>(
        &self,
        context: &KernelContext<'attr>,
    ) -> ort::Result<Self::Kernel<'attr>> {
        let number = context.get::<i64>(KERNEL).and_then(|number| usize::try_from(number).ok());
        let number = number.filter(|&number| number < self.kernels.len());
        let number = number.ok_or_else(|| ort::Error::new("there is no such kernel"))?;
        Ok(RunningConvolution { kernels: Arc::clone(&self.kernels), number, threads: self.threads })
    }
}

/// The operator in one session.
struct RunningConvolution {
    kernels: Arc<[ConvolutionKernel]>,
    number: usize,
    threads: usize,
}

impl Kernel for RunningConvolution {
    /// From uint8 `[N, H, W, inputs]` to uint8 `[N, H', W', outputs]`.
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let x = context.input(node::X)?.ok_or_else(|| ort::Error::new("there is no input"))?;
        let (shape, levels) = x.try_extract_tensor::<u8>()?;
        let sizes: Vec<usize> = shape.iter().map_while(|&side| side.try_into().ok()).collect();
        let &[images, rows, columns, channels] = &*sizes else {
            return Err(ort::Error::new("the input does not have four dimensions"));
        };
        let geometry = self.kernel().geometry();
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
    fn kernel(&self) -> &ConvolutionKernel {
        &self.kernels[self.number]
    }

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
        catch_unwind(AssertUnwindSafe(|| self.kernel().rows(image, first, rows)))
            .unwrap_or(Err(Mismatch::Image))
            .map_err(said)
    }
}

fn said(mismatch: Mismatch) -> ort::Error {
    ort::Error::new(mismatch.to_string())
}
