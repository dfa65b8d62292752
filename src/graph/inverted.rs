//! Networks of inverted residual blocks: `MobileNetV2` (Sandler et al. 2018, arXiv:1801.04381) and
//! EfficientNet-Lite (Tan and Le 2019, arXiv:1905.11946, without squeeze and excitation and with `ReLU6`).
//!
//! A bottleneck block reduces the channels, convolves and expands them. An inverted residual block expands
//! them, applies a depthwise convolution and reduces (projects) them; its shortcut connects input and output, which
//! have few channels. Names are those of torchvision's `mobilenet_v2`.

use super::block::Convolution;
use super::choices::{Activation, Architecture, Inverted};
use super::layer::{LayerKind, Stage};
use super::layer_list::{LayerList, LayerOutput};
use crate::weights::Framework;

/// Stride of the first block of each stage (`MobileNetV2`, Table 2).
const STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];

/// Adds the layers of such a network after the input.
pub(super) fn expand(
    layers: &mut LayerList,
    pixels: LayerOutput,
    row: &Architecture,
    choices: &Inverted,
    classes: usize,
) {
    let framework = choices.framework;
    let stem = Convolution::new(3, row.base_channels).stride(2);
    let mut x = conv_norm_relu6(layers, "features.0", pixels, stem, framework);
    let mut index = 0;
    for (stage, &blocks) in row.blocks.iter().enumerate() {
        layers.stage = Stage::Blocks(stage);
        for block in 0..blocks {
            index += 1;
            let stride = if block == 0 { STRIDES[stage] } else { 1 };
            // The first stage does not expand the channels of the stem.
            let times = if stage == 0 { 1 } else { 6 };
            let depthwise = Convolution::new(choices.kernels[stage], times * x.channels)
                .stride(stride)
                .groups(times * x.channels);
            let project = Convolution::new(1, choices.channels[stage]);
            let name = format!("features.{index}");
            x = inverted_residual(layers, &name, x, [depthwise, project], framework);
        }
    }
    layers.stage = Stage::Head;
    let last = format!("features.{}", index + 1);
    x = conv_norm_relu6(layers, &last, x, Convolution::new(1, choices.head), framework);
    let pooled = layers.same("avgpool", LayerKind::AveragePool { size: 1 }, x);
    layers.linear("classifier.1", pooled, 1, classes); // 0 is dropout, in training only
}

/// `project(depthwise(expand(x)))`, plus `x` if it has the same shape (`MobileNetV2`, Figure 4d). No activation
/// follows the last norm, because a ReLU would lose information in few channels (section 3.2).
fn inverted_residual(
    layers: &mut LayerList,
    name: &str,
    x: LayerOutput,
    [depthwise, project]: [Convolution; 2],
    framework: Framework,
) -> LayerOutput {
    let mut parts = (0..).map(|part| format!("{name}.conv.{part}"));
    let mut next = move || parts.next().expect("endless");
    let mut y = x;
    if depthwise.channels != x.channels {
        let expand = Convolution::new(1, depthwise.channels);
        y = conv_norm_relu6(layers, &next(), y, expand, framework);
    }
    y = conv_norm_relu6(layers, &next(), y, depthwise, framework);
    y = layers.conv(&next(), y, project);
    y = layers.norm_of(&next(), y, framework);
    if depthwise.stride > 1 || project.channels != x.channels {
        return y;
    }
    layers.push(&format!("{name}.add"), LayerKind::Add, &[y, x], y.channels)
}

fn conv_norm_relu6(
    layers: &mut LayerList,
    name: &str,
    x: LayerOutput,
    to: Convolution,
    framework: Framework,
) -> LayerOutput {
    let [conv, norm, relu] = [0, 1, 2].map(|part| format!("{name}.{part}"));
    let x = layers.conv(&conv, x, to.padded_as_in(framework));
    let x = layers.norm_of(&norm, x, framework);
    layers.same(&relu, LayerKind::Activation(Activation::Relu6), x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::describe::LayerRow;
    use crate::graph::{Network, arch};

    fn network(name: &str) -> Network {
        let row = arch::find(name).unwrap();
        Network::expand(row, row.classes)
    }

    /// torchvision's documentation (`mobilenet_v2`) and the sums of timm's tensors.
    #[test]
    fn networks_have_as_many_parameters_as_published() {
        for (name, parameters) in [
            ("mobilenet_v2", 3_504_872),
            ("mobilenetv2_050", 1_968_680),
            ("mobilenetv2_140", 6_108_776),
            ("efficientnet_lite0", 4_652_008),
            ("efficientnet_lite1", 5_416_680),
            ("efficientnet_lite2", 6_092_072),
            ("efficientnet_lite3", 8_197_096),
            ("efficientnet_lite4", 13_006_568),
            ("tf_efficientnet_lite0", 4_652_008),
        ] {
            assert_eq!(network(name).describe([224; 2]).parameters, parameters, "{name}");
        }
    }

    /// torchvision's documentation, in millions.
    #[test]
    fn mobilenet_v2_has_as_many_multiply_adds_as_torchvision_documents() {
        let found = network("mobilenet_v2").describe([224; 2]).multiply_adds;
        assert_eq!((found + 500_000) / 1_000_000, 301);
    }

    /// The README of EfficientNet-Lite, in millions. It also counts norms and activations: three operations
    /// for each output of a convolution.
    #[test]
    fn efficientnet_lite_has_the_published_multiply_adds() {
        for (name, input, published) in [
            ("efficientnet_lite0", 224, 407),
            ("efficientnet_lite1", 240, 631),
            ("efficientnet_lite2", 260, 899),
            ("efficientnet_lite3", 280, 1440),
            ("efficientnet_lite4", 300, 2640),
        ] {
            let description = network(name).describe([input; 2]);
            let is_convolution = |row: &&LayerRow| row.kind.contains("convolution");
            let convolutions = description.rows.iter().filter(is_convolution);
            let values: usize = convolutions.map(|row| row.output.iter().product::<usize>()).sum();
            let counted = description.multiply_adds + 3 * values as u64;
            assert!(
                counted.abs_diff(published * 1_000_000) < published * 10_000,
                "{name} {counted}"
            );
        }
    }

    /// `MobileNetV2`, Table 2.
    #[test]
    fn stages_have_the_papers_sizes() {
        let stages = network("mobilenet_v2").describe([224; 2]).stages;
        let sizes: Vec<_> = stages.iter().map(|row| row.output).collect();
        assert_eq!(
            sizes,
            [
                [32, 112, 112],
                [16, 112, 112],
                [24, 56, 56],
                [32, 28, 28],
                [64, 14, 14],
                [96, 14, 14],
                [160, 7, 7],
                [320, 7, 7],
                [1000, 1, 1],
            ]
        );
    }

    #[test]
    fn same_padding_adds_as_many_zeros_as_the_output_needs() {
        let zeros = |kernel, stride, size| {
            let plain = Convolution::new(kernel, 1).stride(stride);
            [Framework::PyTorch, Framework::TensorFlow]
                .map(|framework| plain.padded_as_in(framework).zeros(size))
        };
        assert_eq!(zeros(3, 1, 9), [[1, 1], [1, 1]]);
        assert_eq!(zeros(3, 2, 8), [[1, 1], [0, 1]]);
        assert_eq!(zeros(3, 2, 9), [[1, 1], [1, 1]]);
        assert_eq!(zeros(5, 2, 8), [[2, 2], [1, 2]]);
        assert_eq!(zeros(1, 2, 8), [[0, 0], [0, 0]]);
    }
}
