//! Architectures: a row of the table is expanded to a network and emitted as an ONNX model.
//!
//! ```text
//! Architecture ─► Network ─► describe: sizes, parameters, multiply-adds
//!  one row         flat       tensors: the tensors that it needs
//!                  list       emit:    an ONNX model, batch norms folded
//! ```

pub mod choices; // the choices of a row
mod rows; // builds the rows of the table
pub mod arch; // the table
pub mod block; // convolutions, and those of a block's residual branch
pub mod layer; // one layer of a network
mod layer_list; // builds the list of layers
pub mod network; // expands a row
mod residual; // expands residual networks
mod preactivation; // expands ResNet v2
mod vgg; // expands VGG
mod inverted; // expands MobileNetV2 and EfficientNet-Lite
pub mod describe; // parameters and multiply-adds
pub mod fold; // folds batch norms into convolutions
mod family; // names unsupported networks, for errors
pub mod infer; // detects the row from tensors
mod nodes; // small groups of ONNX nodes
pub mod emit; // writes network and weights as ONNX
pub mod half; // converts the ONNX graph to float16
#[cfg(test)]
mod tests;

pub use arch::UnknownArchitecture;
pub use choices::Architecture;
pub use describe::NetworkDescription;
pub use emit::{Classes, EmitPlan, InputNormalization, emit};
pub use infer::{DetectedArchitecture, Guess, NotInferred};
pub use network::Network;
