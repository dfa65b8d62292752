//! Build river, first part: a row of the table becomes an ONNX model.
//!
//! ```text
//! Architecture ─► Network ─► describe: sizes, parameters, multiply-adds
//!  one row         flat       tensors: what the weights must have
//!                  list       emit:    an ONNX model, batch norms folded
//! ```

pub mod choices; // what a row of the table says
pub mod arch; // the table
pub mod block; // what its blocks are made of
pub mod layer; // what a network's list is made of
pub mod network; // a row, expanded once
mod residual; // how a residual net is laid out
mod preactivation; // how one of the second version is
mod vgg; // how a VGG is
pub mod describe; // what it costs
pub mod fold; // batch norm into convolution
mod family; // what other networks' names look like
pub mod infer; // a row found by its tensors
mod nodes; // small groups of ONNX nodes
pub mod emit; // network and weights into ONNX
pub mod half; // the same in float16
#[cfg(test)]
mod tests;

pub use arch::UnknownArchitecture;
pub use choices::Architecture;
pub use describe::Description;
pub use emit::{Classes, EmitPlan, Normalize, emit};
pub use infer::{Guess, Inferred, NotInferred};
pub use network::Network;
