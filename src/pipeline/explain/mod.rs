//! Class activation maps: the contribution of each location to a class's score.
//!
//! A residual network ends in global average pooling and one linear layer, which commute. So the
//! linear layer can be applied at each location before the mean. The result is the class activation
//! map (Zhou et al. 2016, "Learning Deep Features for Discriminative Localization"), and the class's
//! logit is exactly `mean(map) + bias`.

mod head; // what a graph supports
mod answer; // from an image to its maps and overlays
mod paint; // draws a map over a photo

use serde::Serialize;
use utoipa::ToSchema;

pub use answer::{Explained, Maps};
pub use head::{Capabilities, Head, NotOffered};

use super::preprocess::Crop;
use super::queue::{Extra, Scores};

/// Where the scores of one image's classes come from.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Explanation {
    /// The part of the upright photo that the network saw, in the photo's pixels; a map covers it.
    pub crop: Crop,
    /// The largest value of the most probable class's map, or 0: what a strong value is here.
    pub strong: f32,
    /// One for each class asked for, in that order.
    pub maps: Vec<ClassMap>,
}

/// What each place adds to one class's score.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ClassMap {
    /// The class's place in the network's output.
    pub class: usize,
    /// Its name.
    pub label: String,
    /// Its score before the softmax: `mean(values) + bias`.
    pub logit: f32,
    /// The part of it that no place adds.
    pub bias: f32,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// f32 `[height, width]`, row after row.
    pub values: Vec<f32>,
}

impl ClassMap {
    /// The map of `class`, which `label` names, from a feature map `[channels, height, width]`.
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

    /// Its largest value, or 0 where every place speaks against the class.
    fn strongest(&self) -> f32 {
        self.values.iter().copied().fold(0.0, f32::max)
    }
}
