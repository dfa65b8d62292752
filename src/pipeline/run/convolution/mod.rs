//! The kernels for int8 convolutions, as an operator of ONNX Runtime.
//!
//! ONNX Runtime optimises a graph of int8 arithmetic to operators with channels last. There, the convolutions for which
//! this program has a faster kernel get the operator [`OWN`], with the same bits in the output. One node computes a chain
//! of convolutions that follow one another, because ONNX Runtime needs some microseconds for each node. The constants are
//! packed into kernels, which all sessions share, and removed from the graph.

mod attributes; // the shape of a convolution, from the attributes of its node
mod node; // a convolution from its node and constants
mod chains; // finds the convolutions of a graph
#[cfg(test)]
mod tests;

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memmem;
use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::value::TensorElementType;

use crate::kernels::{ConvolutionKernel, Extent, ImageBytes, Mismatch};
use crate::onnx::OperatorName;

pub(super) use self::chains::{ReplacedGraph, replace};

/// This program's operator.
const OWN: OperatorName<'static> = OperatorName { domain: "resnetd", name: "QLinearConv" };
/// Its attribute, the number of the chain.
const CHAIN: &str = "chain";

/// Convolutions that follow one another, at least one.
type Chain = Vec<ConvolutionKernel>;

/// Whether this processor has kernels and the model in `bytes` has int8 arithmetic; otherwise nothing can be replaced.
pub(super) fn may_replace(bytes: &[u8]) -> bool {
    ConvolutionKernel::is_available() && memmem::find(bytes, b"QuantizeLinear").is_some()
}

/// The operator with these chains, for a session whose runs have so many threads.
///
/// # Errors
///
/// ONNX Runtime's.
pub(super) fn domain(chains: Arc<[Chain]>, threads: usize) -> ort::Result<OperatorDomain> {
    let scratch = Arc::default();
    OperatorDomain::new(OWN.domain)?.add(ConvolutionOperator { chains, threads, scratch })
}

/// The description of the operator.
#[derive(Clone)]
struct ConvolutionOperator {
    chains: Arc<[Chain]>,
    threads: usize,
    /// Outputs within a chain, in turns. All nodes of the session use the same memory.
    scratch: Arc<Mutex<[Vec<u8>; 2]>>,
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
        let number = context.get::<i64>(CHAIN).and_then(|number| usize::try_from(number).ok());
        let number = number.filter(|&number| number < self.chains.len());
        let number = number.ok_or_else(|| ort::Error::new("there is no such chain"))?;
        Ok(RunningConvolution { operator: self.clone(), number })
    }
}

/// A node in one session.
struct RunningConvolution {
    operator: ConvolutionOperator,
    number: usize,
}

impl Kernel for RunningConvolution {
    /// From uint8 `[N, H, W, inputs]` to uint8 `[N, H', W', outputs]`.
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let x = context.input(node::X)?.ok_or_else(|| ort::Error::new("there is no input"))?;
        let (shape, levels) = x.try_extract_tensor::<u8>()?;
        let sizes: Vec<usize> = shape.iter().map_while(|&side| side.try_into().ok()).collect();
        let &[images, rows, columns, _] = &*sizes else {
            return Err(ort::Error::new("the input does not have four dimensions"));
        };
        let runner = Runner { context, threads: self.operator.threads, images };
        let mut scratch = self.operator.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let [mut to, mut from] = scratch.each_mut();
        let mut input = Activations { levels, size: Extent { rows, columns } };
        let Some((last, before)) = self.operator.chains[self.number].split_last() else {
            return Err(ort::Error::new("the chain is empty"));
        };
        for kernel in before {
            let size = kernel.geometry().output(input.size).map_err(said)?;
            let length = images * size.rows * size.columns * kernel.geometry().outputs;
            to.resize(length.max(to.len()), 0);
            runner.run(kernel, input, &mut to[..length])?;
            mem::swap(&mut to, &mut from);
            input = Activations { levels: &from[..length], size };
        }
        let size = last.geometry().output(input.size).map_err(said)?;
        let shape = [images, size.rows, size.columns, last.geometry().outputs];
        let mut y =
            context.output(0, shape)?.ok_or_else(|| ort::Error::new("there is no output"))?;
        runner.run(last, input, y.try_extract_tensor_mut::<u8>()?.1)
    }
}

/// The values between two convolutions, uint8 `[N, H, W, C]`.
#[derive(Clone, Copy)]
struct Activations<'a> {
    levels: &'a [u8],
    /// H and W.
    size: Extent,
}

/// Runs convolutions for a batch.
struct Runner<'a> {
    context: &'a ComputeContext,
    threads: usize,
    images: usize,
}

/// Some rows of an image's output.
struct Part<'a> {
    image: ImageBytes<'a>,
    first: usize,
    rows: &'a mut [u8],
}

impl Runner<'_> {
    fn run(&self, kernel: &ConvolutionKernel, x: Activations<'_>, y: &mut [u8]) -> ort::Result<()> {
        let size = x.size;
        let output = kernel.geometry().output(size).map_err(said)?;
        let row = output.columns * kernel.geometry().outputs;
        let image = (x.levels.len() / self.images.max(1)).max(1);
        let parts = x.levels.chunks_exact(image).zip(y.chunks_exact_mut(output.rows * row));
        let parts = parts.flat_map(|(bytes, y)| {
            let rows = output.rows.div_ceil(self.threads);
            let image = ImageBytes { bytes, size };
            let parts = y.chunks_mut(rows * row).enumerate();
            parts.map(move |(part, y)| Part { image, first: part * rows, rows: y })
        });
        if self.threads == 1 {
            return parts.into_iter().try_for_each(|part| compute(kernel, part));
        }
        let results: Vec<_> = parts.map(|part| Mutex::new((Some(part), Ok(())))).collect();
        self.context.par_for(results.len(), 0, |number| {
            let mut result = results[number].lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(part) = result.0.take() {
                result.1 = compute(kernel, part);
            }
        })?;
        results
            .into_iter()
            .try_for_each(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner).1)
    }
}

/// A panic must not reach ONNX Runtime, which is not written in Rust.
fn compute(kernel: &ConvolutionKernel, part: Part<'_>) -> ort::Result<()> {
    let Part { image, first, rows } = part;
    match catch_unwind(AssertUnwindSafe(|| kernel.rows(image, first, rows))) {
        Ok(computed) => computed.map_err(said),
        Err(_) => Err(ort::Error::new("a kernel for convolutions panicked")),
    }
}

fn said(mismatch: Mismatch) -> ort::Error {
    ort::Error::new(mismatch.to_string())
}
