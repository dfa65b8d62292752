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

use bytes::Bytes;

use super::decode::Image;
use crate::model::{Interpolation, Preprocess, Resize};
pub use plan::Crop;
pub use reduce::JpegScaling;

impl Preprocess {
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
        Pixels { rgb: rgb.into() }
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
    rgb: Bytes,
}

impl Pixels {
    /// Pixels that are already of the network's size, `[height, width]`, without a copy; `None` if
    /// `rgb` has another length.
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
