//! Preprocessing: how an image becomes the network's input.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How an image becomes the network's input, from the model's card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Height and width of the network's input.
    pub input: [u32; 2],
    /// How the image is resized to the input's size.
    pub resize: Resize,
    /// The fraction of the resized image that is kept, 0 to 1: the shorter side is resized to `input /
    /// crop_ratio`, rounded down, and the centre is cropped.
    #[serde(default = "default_crop_ratio")]
    pub crop_ratio: f64,
    /// The resampling filter.
    pub interpolation: Interpolation,
    /// Mean of the training images, RGB from 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of the training images, RGB from 0 to 1.
    pub std: [f32; 3],
}

/// How an image is resized to the input's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// Keeps the aspect ratio: the shorter side fits, the longer one is cropped.
    ShorterSide,
    /// Ignores the aspect ratio; only the crop ratio removes parts of the image.
    Exact,
}

/// Pillow's filters of the same names; all but `Nearest` antialias when they reduce an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are self-explanatory")]
pub enum Interpolation {
    Nearest,
    Bilinear,
    Bicubic,
    Lanczos,
}

/// Invalid preprocessing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PreprocessError {
    /// A side is 0 or too large.
    #[error("preprocess.input is {0:?}; height and width must be 1 to 4096")]
    Input([u32; 2]),
    /// The crop ratio is out of range.
    #[error("preprocess.crop_ratio is {0}; it must be more than 0.1 and at most 1")]
    CropRatio(f64),
    /// Mean or standard deviation is out of range.
    #[error(
        "preprocess.mean {mean:?} or std {std:?} is out of range; values must be from 0 to 1, and std must be positive. They are for \
         pixels from 0 to 1; for other pixels the card of an ONNX graph has onnx.scale"
    )]
    Normalization {
        /// From the card.
        mean: [f32; 3],
        /// From the card.
        std: [f32; 3],
    },
}

fn default_crop_ratio() -> f64 {
    1.0
}

impl Preprocess {
    /// The most common preprocessing for this input size: CIFAR's statistics and no crop for 32×32,
    /// ImageNet's statistics and a crop of 224 from 256 for all others.
    #[must_use]
    pub fn default_for(input: [u32; 2]) -> Self {
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

    /// Validates the fields.
    ///
    /// # Errors
    ///
    /// [`PreprocessError`] with the invalid field and its valid range.
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
