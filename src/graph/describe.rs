//! Output sizes, parameters and multiply-adds of each layer.
//!
//! Counted as in the paper's Table 1: a multiply-add is one operation, and only convolutions over height and width
//! and linear layers count. Running statistics are not parameters, because training does not learn them.

use super::layer::{Layer, LayerKind, Stage, kernel_shape};
use super::network::Network;

/// Sizes and costs of a network for images of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkDescription {
    /// One row per layer, in order of execution.
    pub rows: Vec<LayerRow>,
    /// One row per stage, as in the paper's Table 1.
    pub stages: Vec<StageRow>,
    /// Number of trained parameters.
    pub parameters: u64,
    /// Multiply-adds for one image.
    pub multiply_adds: u64,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRow {
    /// The part of the network it belongs to.
    pub stage: Stage,
    /// Its name, as in the weights.
    pub name: String,
    /// A description of what it does.
    pub kind: String,
    /// Channels, height and width of the output.
    pub output: [usize; 3],
    /// Number of trained parameters.
    pub parameters: u64,
    /// Multiply-adds for one image.
    pub multiply_adds: u64,
}

/// One stage, the sum of its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageRow {
    /// Which stage; its `Display` is the paper's name, `conv2_x`.
    pub stage: Stage,
    /// Channels, height and width of the output.
    pub output: [usize; 3],
    /// Number of trained parameters.
    pub parameters: u64,
    /// Multiply-adds for one image.
    pub multiply_adds: u64,
}

impl Network {
    /// Sizes and costs for images of `input` height and width, at least 1 each.
    #[must_use]
    pub fn describe(&self, input: [u32; 2]) -> NetworkDescription {
        let rows: Vec<LayerRow> = self
            .layers
            .iter()
            .zip(self.output_sizes(input))
            .map(|(layer, output)| LayerRow {
                stage: layer.stage,
                name: layer.name.clone(),
                kind: layer.in_words(),
                output,
                parameters: layer.parameters(),
                multiply_adds: layer.multiply_adds(output),
            })
            .collect();

        NetworkDescription {
            stages: rows.chunk_by(|a, b| a.stage == b.stage).map(StageRow::sum).collect(),
            parameters: rows.iter().map(|row| row.parameters).sum(),
            multiply_adds: rows.iter().map(|row| row.multiply_adds).sum(),
            rows,
        }
    }

    /// Channels, height and width of every layer's output.
    pub(super) fn output_sizes(&self, [height, width]: [u32; 2]) -> Vec<[usize; 3]> {
        let mut sizes: Vec<[usize; 3]> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let size = match layer.inputs.first() {
                Some(&input) => layer.output_size(sizes[input]),
                None => [3, height as usize, width as usize],
            };
            sizes.push(size);
        }
        sizes
    }
}

impl Layer {
    fn output_size(&self, [channels, height, width]: [usize; 3]) -> [usize; 3] {
        // With a padding of half the kernel, only the stride reduces the size: ⌈size / stride⌉.
        let strided =
            |channels, stride| [channels, height.div_ceil(stride), width.div_ceil(stride)];
        match self.kind {
            LayerKind::Convolution { to, .. } => strided(to.channels, to.stride),
            LayerKind::MaxPool { kernel: 2, .. } | LayerKind::FloorPool => {
                [channels, height / 2, width / 2]
            }
            LayerKind::MaxPool { stride, .. } => strided(channels, stride),
            LayerKind::HalvingPool | LayerKind::Blur { .. } => strided(channels, 2),
            LayerKind::ZeroPad { from, padding } => strided(from + 2 * padding, 2),
            LayerKind::AveragePool { size } => [channels, size, size],
            LayerKind::Linear { to, .. } => [to, 1, 1],
            LayerKind::Pixels
            | LayerKind::BatchNorm { .. }
            | LayerKind::GroupNorm { .. }
            | LayerKind::AcrossChannels { .. }
            | LayerKind::Activation(_)
            | LayerKind::Sigmoid
            | LayerKind::Add
            | LayerKind::Scale => [channels, height, width],
        }
    }

    fn parameters(&self) -> u64 {
        let count = match self.kind {
            LayerKind::Convolution { from, to } => {
                let bias = if to.bias { to.channels } else { 0 };
                kernel_shape(from, to).iter().product::<usize>() + bias
            }
            LayerKind::BatchNorm { channels, .. } | LayerKind::GroupNorm { channels } => {
                2 * channels
            }
            LayerKind::AcrossChannels { kernel } => kernel,
            LayerKind::Linear { from, window, to } => (from * window * window + 1) * to,
            LayerKind::Pixels
            | LayerKind::Activation(_)
            | LayerKind::Sigmoid
            | LayerKind::MaxPool { .. }
            | LayerKind::HalvingPool
            | LayerKind::FloorPool
            | LayerKind::Blur { .. }
            | LayerKind::ZeroPad { .. }
            | LayerKind::Add
            | LayerKind::Scale
            | LayerKind::AveragePool { .. } => 0,
        };
        count as u64
    }

    fn multiply_adds(&self, [_, height, width]: [usize; 3]) -> u64 {
        let count = match self.kind {
            LayerKind::Convolution { from, to } => {
                kernel_shape(from, to).iter().product::<usize>() * height * width
            }
            LayerKind::Linear { from, window, to } => from * window * window * to,
            LayerKind::Pixels
            | LayerKind::BatchNorm { .. }
            | LayerKind::GroupNorm { .. }
            | LayerKind::AcrossChannels { .. }
            | LayerKind::Activation(_)
            | LayerKind::Sigmoid
            | LayerKind::MaxPool { .. }
            | LayerKind::HalvingPool
            | LayerKind::FloorPool
            | LayerKind::Blur { .. }
            | LayerKind::ZeroPad { .. }
            | LayerKind::Add
            | LayerKind::Scale
            | LayerKind::AveragePool { .. } => 0,
        };
        count as u64
    }

    fn in_words(&self) -> String {
        match self.kind {
            LayerKind::Pixels => "image".to_owned(),
            LayerKind::Convolution { to, .. } => {
                let groups = match to.groups {
                    1 => String::new(),
                    groups => format!(", {groups} groups"),
                };
                let stride = match to.stride {
                    1 => String::new(),
                    stride => format!(", stride {stride}"),
                };
                format!("{0}×{0} convolution{groups}{stride}", to.kernel)
            }
            LayerKind::BatchNorm { .. } => "batch norm".to_owned(),
            LayerKind::Activation(activation) => activation.name().to_owned(),
            LayerKind::Sigmoid => "sigmoid".to_owned(),
            LayerKind::GroupNorm { .. } => "group norm, 32 groups".to_owned(),
            LayerKind::AcrossChannels { kernel } => {
                format!("convolution of {kernel} along the channels")
            }
            LayerKind::Blur { .. } => "3×3 blur, stride 2".to_owned(),
            LayerKind::MaxPool { kernel, stride } => {
                format!("{kernel}×{kernel} max pool, stride {stride}")
            }
            LayerKind::HalvingPool | LayerKind::FloorPool => {
                "2×2 average pool, stride 2".to_owned()
            }
            LayerKind::ZeroPad { .. } => "zero-padded channels, stride 2".to_owned(),
            LayerKind::Add => "add".to_owned(),
            LayerKind::Scale => "scale".to_owned(),
            LayerKind::AveragePool { size: 1 } => "average pool".to_owned(),
            LayerKind::AveragePool { size } => format!("average pool to {size}×{size}"),
            LayerKind::Linear { .. } => "fully connected".to_owned(),
        }
    }
}

impl StageRow {
    /// The rows of one stage, at least one, as one row.
    fn sum(rows: &[LayerRow]) -> Self {
        let last = &rows[rows.len() - 1];
        Self {
            stage: last.stage,
            output: last.output,
            parameters: rows.iter().map(|row| row.parameters).sum(),
            multiply_adds: rows.iter().map(|row| row.multiply_adds).sum(),
        }
    }
}
