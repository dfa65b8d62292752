//! How an image becomes the network's input, as its card states it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a picture becomes the network's input: a value from the model's card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Height and width that the network takes.
    pub input: [u32; 2],
    /// How the picture meets that size.
    pub resize: Resize,
    /// The part of the resized picture that is kept, 0 to 1: the shorter side is resized to
    /// `input / crop_ratio`, rounded down, and the centre is cropped.
    #[serde(default = "everything")]
    pub crop_ratio: f64,
    /// How pixels between pixels are made.
    pub interpolation: Interpolation,
    /// Mean of the training pictures, RGB from 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of the training pictures, RGB from 0 to 1.
    pub std: [f32; 3],
}

/// How a picture meets the input's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// Keep its proportions: the shorter side fits, the longer one is cropped.
    ShorterSide,
    /// Stretch it, so that nothing but the crop ratio is lost.
    Exact,
}

/// Pillow's filters of the same names, antialiased where a picture shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "their names say it")]
pub enum Interpolation {
    Nearest,
    Bilinear,
    Bicubic,
    Lanczos,
}

/// Preprocessing that cannot be done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PreprocessError {
    /// A side of 0, or one that no network takes.
    #[error("preprocess.input is {0:?}; height and width must be 1 to 4096")]
    Input([u32; 2]),
    /// Not a part.
    #[error("preprocess.crop_ratio is {0}; it must be more than 0.1 and at most 1")]
    CropRatio(f64),
    /// Not a scale.
    #[error(
        "preprocess.mean {mean:?} or std {std:?} is wrong; both are of values from 0 to 1, and std is positive"
    )]
    Normalization {
        /// As given.
        mean: [f32; 3],
        /// As given.
        std: [f32; 3],
    },
}

fn everything() -> f64 {
    1.0
}

impl Preprocess {
    /// What most networks of this input size were trained with: CIFAR's statistics and the whole
    /// picture for 32×32, ImageNet's statistics and a crop of 224 from 256 for anything larger.
    #[must_use]
    pub fn usual(input: [u32; 2]) -> Self {
        let cifar = input == [32, 32];
        Self {
            input,
            resize: Resize::ShorterSide,
            crop_ratio: if cifar { 1.0 } else { 0.875 },
            interpolation: Interpolation::Bilinear,
            mean: if cifar { [0.4914, 0.4822, 0.4465] } else { [0.485, 0.456, 0.406] },
            std: if cifar { [0.2470, 0.2435, 0.2616] } else { [0.229, 0.224, 0.225] },
        }
    }

    /// Whether it can be done.
    ///
    /// # Errors
    ///
    /// [`PreprocessError`], which names the field and what would be right.
    pub fn validate(&self) -> Result<(), PreprocessError> {
        if self.input.iter().any(|side| !(1..=4096).contains(side)) {
            return Err(PreprocessError::Input(self.input));
        }
        if !(self.crop_ratio > 0.1 && self.crop_ratio <= 1.0) {
            return Err(PreprocessError::CropRatio(self.crop_ratio));
        }
        let (mean, std) = (self.mean, self.std);
        if mean.iter().all(|mean| (0.0..=1.0).contains(mean))
            && std.iter().all(|std| *std > 0.0 && *std <= 1.0)
        {
            Ok(())
        } else {
            Err(PreprocessError::Normalization { mean, std })
        }
    }
}
