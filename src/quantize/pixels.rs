//! Converts pixels to the network's input in uint8.
//!
//! ONNX Runtime runs int8 convolutions in the layout NHWC. Subtracting a mean of three channels would then
//! process three values at a time, which costs as much as a stage of a small network. So rows of width · 3 values are
//! normalised, with mean and standard deviation repeated for each pixel.

use crate::graph::emit::NORMALIZED;
use crate::onnx::GraphBuilder;
use crate::onnx::builder::{int_attribute, ints_attribute};
use crate::onnx::proto::GraphProto;
use crate::onnx::proto::tensor_proto::DataType;

use super::range::Steps;

/// Nodes before [`NORMALIZED`], which are replaced.
const BEFORE: [&str; 3] = ["pixels.planes", "pixels.float", "pixels.centred"];

/// The normalisation `(pixel − mean) / std` of R, G and B, for pixels from 0 to 255.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PixelNormalization {
    mean: Vec<f32>,
    std: Vec<f32>,
    height: usize,
    width: usize,
}

impl PixelNormalization {
    /// The normalisation of a graph that resnetd built; `None` for other graphs.
    pub(super) fn of(graph: &GraphProto) -> Option<Self> {
        let has = |name: &str| graph.node.iter().any(|node| node.output[0] == name);
        let constant = |name: &str| {
            let tensor = graph.initializer.iter().find(|tensor| tensor.name() == name)?;
            Some(tensor.floats().collect::<Vec<f32>>()).filter(|values| values.len() == 3)
        };
        let dims = graph.input.first()?.dims()?;
        let size = |index: usize| dims.get(index)?.size();
        let is_ours = BEFORE.iter().all(|name| has(name)) && has(NORMALIZED) && size(3) == Some(3);
        let (mean, std) = (constant("pixels.mean")?, constant("pixels.std")?);
        is_ours.then_some(Self { mean, std, height: size(1)?, width: size(2)? })
    }

    /// Whether this module replaces or removes the value `name`.
    pub(super) fn replaces(name: &str) -> bool {
        BEFORE.contains(&name) || name == NORMALIZED
    }

    /// Scale and zero point with which raw pixels are the quantized input, if all channels have the same mean
    /// and it is an integer.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 255")]
    pub(super) fn raw_pixel_steps(&self) -> Option<Steps> {
        let (mean, std) = (self.mean[0], self.std[0]);
        let is_same = self.mean.iter().all(|&other| (other - mean).abs() < TOLERANCE)
            && self.std.iter().all(|&other| (other - std).abs() < TOLERANCE);
        let level = mean.round();
        let is_level = (mean - level).abs() < TOLERANCE && (0.0..=255.0).contains(&level);
        (is_same && is_level).then_some(Steps { scale: 1.0 / std, zero_point: level as u8 })
    }

    /// Adds nodes for raw pixels as `[N, 3, H, W]`.
    pub(super) fn planes(graph: &mut GraphBuilder, name: &str, pixels: &str) -> String {
        graph.node("Transpose", name, &[pixels], [ints_attribute("perm", &[0, 3, 1, 2])])
    }

    /// Adds nodes for normalised pixels as float32 rows `[N, H, W · 3]`.
    pub(super) fn normalized_rows(&self, graph: &mut GraphBuilder, pixels: &str) -> String {
        let row = self.width * 3;
        let rows = graph.reshape("pixels.rows", pixels, &[self.height, row]);
        let float = [int_attribute("to", DataType::Float as usize)];
        let x = graph.node("Cast", "pixels.rows.float", &[&rows], float);
        let [mean, std] = [("mean", &self.mean), ("std", &self.std)].map(|(name, values)| {
            let name = format!("pixels.rows.{name}");
            graph.constant(&name, &[1, 1, row], &values.repeat(self.width))
        });
        let x = graph.node("Sub", "pixels.rows.centred", &[&x, &mean], []);
        graph.node("Div", "pixels.rows.normalized", &[&x, &std], [])
    }

    /// Adds nodes that convert rows to `[N, 3, H, W]`.
    pub(super) fn planes_of_rows(
        &self,
        graph: &mut GraphBuilder,
        name: &str,
        rows: &str,
    ) -> String {
        let shape = [self.height, self.width, 3];
        let pixels = graph.reshape(&format!("{name}.pixels"), rows, &shape);
        Self::planes(graph, name, &pixels)
    }
}

/// Tolerance for rounding in float32.
const TOLERANCE: f32 = 1e-4;
