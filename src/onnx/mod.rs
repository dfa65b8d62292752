//! onnx.
