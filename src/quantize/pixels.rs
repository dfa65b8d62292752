//! From pixels to the network's input in uint8.
//!
//! ONNX Runtime gives int8 convolutions their input channel by channel for each pixel (NHWC), and takes three
//! values at a time from a mean of three: that would cost as much as a stage of a small network.

use crate::graph::emit::NORMALIZED;
use crate::onnx::GraphBuilder;
use crate::onnx::builder::{int_attribute, ints_attribute};
use crate::onnx::proto::{DataType, DimensionValue, Graph};

use super::range::Steps;

/// The nodes before [`NORMALIZED`], which are made anew.
const BEFORE: [&str; 3] = ["pixels.planes", "pixels.float", "pixels.centred"];

/// How pixels become the network's input: `(pixel − mean) / std` for each of R, G and B, in levels of 255.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pixels {
    mean: Vec<f32>,
    std: Vec<f32>,
    height: usize,
    width: usize,
}

impl Pixels {
    /// Those of a graph that begins as ours do.
    pub(super) fn of(graph: &Graph) -> Option<Self> {
        let has = |name: &str| graph.node.iter().any(|node| node.output[0] == name);
        let constant = |name: &str| {
            let tensor = graph.initializer.iter().find(|tensor| tensor.name == name)?;
            Some(tensor.floats().collect::<Vec<f32>>()).filter(|values| values.len() == 3)
        };
        let tensor = graph.input.first()?.r#type.as_ref()?.tensor_type.as_ref()?;
        let size = |index: usize| match tensor.shape.as_ref()?.dim.get(index)?.value.as_ref()? {
            DimensionValue::Size(size) => usize::try_from(*size).ok(),
            DimensionValue::Name(_) => None,
        };
        let is_ours = BEFORE.iter().all(|name| has(name)) && has(NORMALIZED) && size(3) == Some(3);
        let (mean, std) = (constant("pixels.mean")?, constant("pixels.std")?);
        is_ours.then_some(Self { mean, std, height: size(1)?, width: size(2)? })
    }

    /// Whether the value `name` is made here or not at all.
    pub(super) fn makes(name: &str) -> bool {
        BEFORE.contains(&name) || name == NORMALIZED
    }

    /// What pixels are in steps as they are, where every channel has the same mean, a whole level.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 255")]
    pub(super) fn own_steps(&self) -> Option<Steps> {
        let (mean, std) = (self.mean[0], self.std[0]);
        let is_same = self.mean.iter().all(|&other| (other - mean).abs() < TOLERANCE)
            && self.std.iter().all(|&other| (other - std).abs() < TOLERANCE);
        let level = mean.round();
        let is_level = (mean - level).abs() < TOLERANCE && (0.0..=255.0).contains(&level);
        (is_same && is_level).then_some(Steps { scale: 1.0 / std, zero_point: level as u8 })
    }

    /// Pixels as they are, as `[N, 3, H, W]`.
    pub(super) fn planes(graph: &mut GraphBuilder, name: &str, pixels: &str) -> String {
        graph.node("Transpose", name, &[pixels], [ints_attribute("perm", &[0, 3, 1, 2])])
    }

    /// Pixels as float32 rows `[N, H, W · 3]`, normalised.
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

    /// Rows as `[N, 3, H, W]`.
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

/// How far a mean or deviation may be from a level: the rounding of float32.
const TOLERANCE: f32 = 1e-4;
