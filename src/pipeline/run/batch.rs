//! The input tensor of a run, filled image by image.

use std::convert::Infallible;

use crate::model::Preprocess;
use crate::pipeline::Output;
use crate::pipeline::preprocess::Pixels;

/// Name of the input in every graph.
pub(super) const INPUT: &str = "pixels";

/// Size of the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputShape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl InputShape {
    /// The output size of `preprocess`.
    #[must_use]
    pub fn of(preprocess: &Preprocess) -> Self {
        let [height, width] = preprocess.input.map(|side| side as usize);
        Self { height, width }
    }

    /// Bytes of one image, uint8 `[height, width, 3]`.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.height * self.width * 3
    }
}

/// uint8 `[len, height, width, 3]`; the buffer is reused for all runs.
#[derive(Debug)]
pub struct Batch {
    shape: InputShape,
    /// Buffer of all slots, including those of earlier runs.
    pixels: Vec<u8>,
    images: usize,
    extras: Vec<Output>,
}

impl Batch {
    /// An empty batch with memory for `capacity` images.
    #[must_use]
    pub fn with_capacity(shape: InputShape, capacity: usize) -> Self {
        Self { shape, pixels: vec![0; capacity * shape.bytes()], images: 0, extras: Vec::new() }
    }

    /// `len` medium grey images, for warm-up runs.
    #[must_use]
    pub fn grey(shape: InputShape, len: usize) -> Self {
        Self { shape, pixels: vec![128; len * shape.bytes()], images: len, extras: Vec::new() }
    }

    /// Calls `make` to write one image into the next slot, uint8 `[height, width, 3]`, which contains old
    /// data. If `make` fails, the slot remains free.
    ///
    /// # Errors
    ///
    /// The error of `make`.
    pub fn fill<T, E>(&mut self, make: impl FnOnce(&mut [u8]) -> Result<T, E>) -> Result<T, E> {
        let bytes = self.shape.bytes();
        let begin = self.images * bytes;
        if self.pixels.len() < begin + bytes {
            self.pixels.resize(begin + bytes, 0);
        }
        let outcome = make(&mut self.pixels[begin..begin + bytes])?;
        self.images += 1;
        Ok(outcome)
    }

    /// Copies one image into the next slot.
    ///
    /// # Panics
    ///
    /// If `pixels` have another size; preprocessing always creates the input size.
    pub fn push(&mut self, pixels: &Pixels) {
        let Ok(()) = self.fill(|slot| {
            slot.copy_from_slice(pixels.as_bytes());
            Ok::<_, Infallible>(())
        });
    }

    /// Requests `output` in addition, for all images of the batch.
    pub fn want(&mut self, output: Output) {
        if !self.extras.contains(&output) {
            self.extras.push(output);
        }
    }

    /// Removes all images and additional outputs.
    pub fn clear(&mut self) {
        self.images = 0;
        self.extras.clear();
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.images
    }

    /// Whether there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.images == 0
    }

    /// Additional outputs.
    #[must_use]
    pub fn extras(&self) -> &[Output] {
        &self.extras
    }

    /// Size of each image.
    #[must_use]
    pub fn input(&self) -> InputShape {
        self.shape
    }

    /// `[len, height, width, 3]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        [self.len(), self.shape.height, self.shape.width, 3]
    }

    /// The bytes of all images.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.pixels[..self.images * self.shape.bytes()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_was_not_filled_is_used_for_the_next_image() {
        let mut batch = Batch::with_capacity(InputShape { height: 1, width: 1 }, 1);
        let mut fill = |value: u8, outcome: Result<(), ()>| {
            batch.fill(|slot| {
                slot.fill(value);
                outcome
            })
        };
        fill(1, Err(())).unwrap_err();
        fill(2, Ok(())).unwrap();
        fill(3, Err(())).unwrap_err();
        fill(4, Ok(())).unwrap();
        assert_eq!((batch.len(), batch.shape()), (2, [2, 1, 1, 3]));
        assert_eq!(batch.as_bytes(), [2, 2, 2, 4, 4, 4]);
        batch.clear();
        assert!(batch.is_empty() && batch.as_bytes().is_empty());
    }
}
