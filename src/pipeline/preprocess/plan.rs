//! The part of an image that the network gets.

use serde::Serialize;
use utoipa::ToSchema;

use super::coefficients::Axis;
use super::{Preprocess, Resize};
use crate::pipeline::decode::Image;

/// A box in the image's pixels, with fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Crop {
    /// Pixels left of it.
    pub left: f64,
    /// Pixels above it.
    pub top: f64,
    /// Columns.
    pub width: f64,
    /// Rows.
    pub height: f64,
}

impl Preprocess {
    /// The box of an image of `[height, width]` that remains after resizing and cropping.
    ///
    /// torchvision resizes to whole pixels, then crops whole pixels. The box is that crop, in coordinates of
    /// the original image.
    #[must_use]
    pub fn crop(&self, [height, width]: [u32; 2]) -> Crop {
        let [resized_height, resized_width] = self.resized([height, width]);
        let [input_height, input_width] = self.input;
        let (left, crop_width) = span(width, resized_width, input_width);
        let (top, crop_height) = span(height, resized_height, input_height);
        Crop { left, top, width: crop_width, height: crop_height }
    }

    /// How rows and columns of an image are resized: the whole image is resized, and its centre is computed.
    pub(super) fn axes(&self, image: &Image) -> [Axis; 2] {
        let full = image.full_size();
        let places = image.place([0.0, full[0].into()], [0.0, full[1].into()]);
        let [rows, columns] = [0, 1].map(|way| {
            let resized = self.resized(full)[way];
            let kept = self.input[way];
            Axis {
                length: [image.height(), image.width()][way] as usize,
                span: [places[way][0], places[way][0] + places[way][1]],
                resized,
                first: spare_before(resized, kept),
                wanted: kept as usize,
            }
        });
        [rows, columns]
    }

    /// The size, in whole pixels, to which torchvision resizes before it crops.
    pub(super) fn resized(&self, [height, width]: [u32; 2]) -> [u64; 2] {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "floor of a small positive number"
        )]
        let target = self.input.map(|side| (f64::from(side) / self.crop_ratio).floor() as u64);
        match self.resize {
            Resize::Exact => target,
            Resize::ShorterSide => {
                let (height, width) = (u64::from(height), u64::from(width));
                // If the input is not square, the image must be large enough on both sides.
                if width * target[0] <= height * target[1] {
                    [(target[1] * height / width).max(target[0]), target[1]]
                } else {
                    [target[0], (target[0] * width / height).max(target[1])]
                }
            }
        }
    }
}

/// Start and length of the central `kept` of `resized` pixels, in pixels of an image of `size`.
#[expect(clippy::cast_precision_loss, reason = "sizes of images are far below 2^53")]
fn span(size: u32, resized: u64, kept: u32) -> (f64, f64) {
    let scale = f64::from(size) / resized as f64;
    let first = spare_before(resized, kept) as f64;
    let length = (f64::from(kept) * scale).min(f64::from(size));
    ((first * scale).min(f64::from(size) - length), length)
}

/// Number of `resized` pixels before the central `kept`: half of the difference, rounded like Python's
/// `round()` (half to even).
fn spare_before(resized: u64, kept: u32) -> u64 {
    let spare = resized.saturating_sub(u64::from(kept));
    spare / 2 + u64::from(spare % 4 == 3)
}
