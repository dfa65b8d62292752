//! The inference route of the Open Inference Protocol, for the targets that send requests to it.

pub const INFER: &str = "/v2/models/cifar10-resnet56/infer";
