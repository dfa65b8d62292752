//! Convolutions of 8-bit integers, with channels last, that are faster here than in ONNX Runtime.
//!
//! ONNX Runtime multiplies matrices of int8 at nearly full speed, but has no such code for depthwise
//! convolutions, or for convolutions of few input channels, such as the first of a network. For pointwise convolutions (1×1) it
//! writes sums to memory and scales them afterwards. The kernels here use the instructions for int8 dot
//! products of x86 (AVX-512 VNNI), and their results have the same bits as ONNX Runtime's.

mod convolution; // what is computed, and the computation in portable code
#[cfg(target_arch = "x86_64")]
mod block; // weights, packed for 16 channels at a time
#[cfg(target_arch = "x86_64")]
mod vnni; // the inner loops, in AVX-512 VNNI
#[cfg(target_arch = "x86_64")]
mod depthwise; // one channel in, one out
#[cfg(target_arch = "x86_64")]
mod few_channels; // few channels in
#[cfg(target_arch = "x86_64")]
mod pointwise; // a window of one pixel
mod kernel; // chooses the code for a convolution and the processor
#[cfg(test)]
mod tests;

pub use convolution::{
    Constants, Edges, Extent, Geometry, Grouping, ImageBytes, Mismatch, QLinearConv,
};
pub use kernel::ConvolutionKernel;
