//! Guesses from tensor names which unsupported network a file belongs to, for error messages.

/// Parts of tensor names that identify a family of networks, and the family's name. The first match is used.
const FAMILIES: [(&str, &str); 24] = [
    ("relative_position_bias_table", "a Swin transformer"),
    ("vision_model.", "a CLIP model"),
    ("visual.", "a CLIP model"),
    ("attn.qkv", "a vision transformer (ViT)"),
    ("attention.attention.query", "a vision transformer (ViT)"),
    ("encoder_layer_", "a vision transformer (ViT)"),
    ("self_attn", "a transformer"),
    ("conv_dw", "a ConvNeXt, EfficientNet or MobileNet of timm"),
    ("dwconv", "a ConvNeXt"),
    ("layer_scale", "a ConvNeXt"),
    ("denseblock", "a DenseNet"),
    ("denselayer", "a DenseNet"),
    ("Mixed_", "an Inception network"),
    ("inception", "a GoogLeNet"),
    ("squeeze.weight", "a SqueezeNet"),
    ("branch2.", "a ShuffleNet"),
    ("stage2.0.branch", "a ShuffleNet"),
    ("_blocks.", "an EfficientNet"),
    ("features.1.conv.0", "a MobileNet or EfficientNet"),
    ("features.1.0.block", "an EfficientNet or a ConvNeXt"),
    ("features.0.0.", "a MobileNet or EfficientNet"),
    ("trunk_output", "a RegNet"),
    ("model.0.conv", "a YOLO network"),
    ("stages.0.blocks", "a network of timm with stages"),
];

/// The name of the family of networks with these tensor names, if it is known.
pub(super) fn of(names: &[&str]) -> Option<&'static str> {
    let is_in_one = |part: &str| names.iter().any(|name| name.contains(part));
    FAMILIES.iter().find(|(part, _)| is_in_one(part)).map(|(_, family)| *family)
}
