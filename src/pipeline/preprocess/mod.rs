//! Preprocessing: resizes an image and crops its centre to the network's input.
//!
//! Both have the results of torchvision's `Resize` and `CenterCrop` for Pillow images, with which most
//! networks were trained. Scale, mean and standard deviation are part of the network's graph.

mod plan; // crop and size
mod reduce; // the scale for decoding
mod coefficients; // filter weights
mod convolve; // resizes rows, then columns
#[cfg(target_arch = "x86_64")]
mod avx2; // resizing with AVX2
mod nearest; // nearest neighbour

use bytes::Bytes;

use super::decode::Image;
use crate::model::{Interpolation, Preprocess, Resize};
pub use plan::Crop;
pub use reduce::JpegScaling;

impl Preprocess {
    /// Resizes and crops an image of any size; smaller ones are enlarged.
    ///
    /// If the image was decoded at reduced size, the crop is that of the full-size image.
    ///
    /// Only the cropped part is computed, so images with an extreme aspect ratio do not take longer.
    ///
    /// # Panics
    ///
    /// Never: sizes are at least 1×1 by the types, and the plan's crop is inside of the image.
    #[must_use]
    pub fn apply(&self, image: &Image) -> Pixels {
        let mut rgb = vec![0; self.input_bytes()];
        self.apply_into(image, &mut Scratch::default(), &mut rgb);
        Pixels { rgb: rgb.into() }
    }

    /// The same into `input`, uint8 `[height, width, 3]`. `scratch` keeps memory and tables for the next
    /// image.
    ///
    /// # Panics
    ///
    /// If `input` does not have the size of the network's input.
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

    /// Size of the network's input, in bytes.
    fn input_bytes(&self) -> usize {
        self.input.iter().map(|&side| side as usize).product::<usize>() * 3
    }
}

/// Memory and tables that are reused for the next image.
#[derive(Debug, Default)]
pub struct Scratch {
    convolution: convolve::Resampler,
}

/// uint8 `[height, width, 3]`, RGB, of exactly the network's input size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    rgb: Bytes,
}

impl Pixels {
    /// Pixels that already have the network's size, `[height, width]`, without a copy; `None` if `rgb` has
    /// another length.
    #[must_use]
    pub fn from_raw([height, width]: [u32; 2], rgb: impl Into<Bytes>) -> Option<Self> {
        let rgb = rgb.into();
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
