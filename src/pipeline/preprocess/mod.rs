//! Preprocessing: resizes an image and crops its centre to the network's input.
//!
//! Both as torchvision's `Resize` and `CenterCrop` do it on Pillow images, because that is how most
//! networks were trained. Scale, mean and standard deviation are inside the network's graph.

mod plan; // crop and size
mod reduce; // the scale for decoding
mod coefficients; // filter weights
mod convolve; // resizes rows, then columns
#[cfg(target_arch = "x86_64")]
mod avx2; // the same with AVX2
mod nearest; // nearest neighbour

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::decode::Image;
pub use plan::Crop;
pub use reduce::JpegScaling;

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

    /// Resizes and crops. Any image will do: a smaller one is enlarged.
    ///
    /// Of an image that was decoded at a part of its size, the crop is the one of the full picture.
    ///
    /// Only the cropped part is computed, so a picture of extreme proportions costs no more.
    ///
    /// # Panics
    ///
    /// Never: sizes are at least 1×1 by the types, and the crop lies inside the image by its plan.
    #[must_use]
    pub fn apply(&self, image: &Image) -> Pixels {
        let mut rgb = vec![0; self.input_bytes()];
        self.apply_into(image, &mut Scratch::default(), &mut rgb);
        Pixels { rgb }
    }

    /// The same into `input`, uint8 `[height, width, 3]`; `scratch` keeps what the next image can use.
    ///
    /// # Panics
    ///
    /// Where `input` is of another size than the network's input.
    pub fn apply_into(&self, image: &Image, scratch: &mut Scratch, input: &mut [u8]) {
        assert_eq!(input.len(), self.input_bytes(), "bytes of the network's input");
        if image.full_size() == self.input && self.crop_ratio >= 1.0 {
            return input.copy_from_slice(image.rgb());
        }
        let axes = self.axes(image);
        if self.interpolation == Interpolation::Nearest {
            return nearest::resize(image.rgb(), axes, input);
        }
        scratch.convolution.resize(image.rgb(), axes, self.interpolation, input);
    }

    /// Bytes of the network's input.
    fn input_bytes(&self) -> usize {
        self.input.iter().map(|&side| side as usize).product::<usize>() * 3
    }
}

/// Memory and tables that one image leaves to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    convolution: convolve::Convolution,
}

/// uint8 `[height, width, 3]`, RGB, of exactly the network's input size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    rgb: Vec<u8>,
}

impl Pixels {
    /// Pixels that are already of the network's size, `[height, width]`; `None` where `rgb` has
    /// another length.
    #[must_use]
    pub fn from_raw([height, width]: [u32; 2], rgb: Vec<u8>) -> Option<Self> {
        (rgb.len() as u64 == u64::from(height) * u64::from(width) * 3).then_some(Self { rgb })
    }

    /// All bytes, row after row.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.rgb
    }
}

#[cfg(test)]
mod reduced_tests;
#[cfg(test)]
mod tests;
