//! Class activation maps: the contribution of each location to a class's score.
//!
//! A residual network ends in global average pooling and one linear layer, which commute. So the
//! linear layer can be applied at each location before the mean. The result is the class activation
//! map (Zhou et al. 2016, "Learning Deep Features for Discriminative Localization"), and the class's
//! logit is exactly `mean(map) + bias`.

mod head; // the linear classifier at the end of a graph
mod answer; // computes maps and overlays
mod overlay; // draws a map over an image

use serde::Serialize;
use utoipa::ToSchema;

pub use answer::{Explained, Maps};
pub use head::{Capabilities, Head};

use super::preprocess::Crop;
use super::queue::{Extra, Scores};

/// Class activation maps of one image.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Explanation {
    /// The part of the upright image that the network's input shows, in the image's pixels; a map covers it.
    pub crop: Crop,
    /// The largest value in the most probable class's map, or 0 if that is negative: the reference for
    /// colours.
    pub strong: f32,
    /// One for each requested class, in that order.
    pub maps: Vec<ClassMap>,
}

/// The contribution of each location to one class's score.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ClassMap {
    /// Index of the class in the network's output.
    pub class: usize,
    /// Name of the class.
    pub label: String,
    /// Score before the softmax: `mean(values) + bias`.
    pub logit: f32,
    /// The part of the score that does not depend on the image.
    pub bias: f32,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// f32 `[height, width]`, row-major.
    pub values: Vec<f32>,
}

impl ClassMap {
    /// Computes the map of `class`, named `label`, from a feature map `[channels, height, width]`.
    fn new(
        head: &Head,
        features: &Extra,
        scores: &Scores,
        class: usize,
        label: &str,
    ) -> Option<Self> {
        let &[channels, height, width] = &features.shape[..] else { return None };
        let weight = head.weight(class);
        if weight.len() != channels {
            return None;
        }
        let mut values = vec![0.0; height * width];
        for (weight, channel) in weight.iter().zip(features.values.chunks(height * width)) {
            for (value, feature) in values.iter_mut().zip(channel) {
                *value += weight * feature;
            }
        }
        let (label, logit) = (label.to_owned(), scores.logits[class]);
        Some(Self { class, label, logit, bias: head.bias(class), height, width, values })
    }

    /// The largest value, or 0 if all values are negative.
    fn strongest(&self) -> f32 {
        self.values.iter().copied().fold(0.0, f32::max)
    }
}
