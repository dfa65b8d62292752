//! The models that are compiled into the binary.

/// An embedded model.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedModel {
    /// Its name for `--model`.
    pub name: &'static str,
    /// Its `card.toml`.
    pub card: &'static str,
    /// Its `model.safetensors`.
    pub weights: &'static [u8],
    /// Its `model-int8.onnx`, if it is accurate enough.
    pub int8: Option<&'static [u8]>,
}

/// The model that is served without `--model`.
pub const DEFAULT: &str = "cifar10-resnet56";

/// Whether an embedded model has this name.
#[must_use]
pub fn is_embedded(name: &str) -> bool {
    EMBEDDED.iter().any(|embedded| embedded.name == name)
}

/// Every embedded model.
pub const EMBEDDED: &[EmbeddedModel] = &[
    EmbeddedModel {
        name: "cifar10-resnet20",
        card: include_str!("../../models/cifar10-resnet20/card.toml"),
        weights: include_bytes!("../../models/cifar10-resnet20/model.safetensors"),
        int8: Some(include_bytes!("../../models/cifar10-resnet20/model-int8.onnx")),
    },
    EmbeddedModel {
        name: DEFAULT,
        card: include_str!("../../models/cifar10-resnet56/card.toml"),
        weights: include_bytes!("../../models/cifar10-resnet56/model.safetensors"),
        int8: Some(include_bytes!("../../models/cifar10-resnet56/model-int8.onnx")),
    },
];
