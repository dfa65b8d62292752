//! The input tensor of one run, filled slot by slot.

use std::convert::Infallible;

use crate::model::Preprocess;
use crate::pipeline::Output;
use crate::pipeline::preprocess::Pixels;

/// The input's name in every graph.
pub(super) const INPUT: &str = "pixels";

/// Height and width of the images a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputShape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl InputShape {
    /// The size that `preprocess` makes.
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

/// uint8 `[len, height, width, 3]`; the buffer is kept from run to run.
#[derive(Debug)]
pub struct Batch {
    shape: InputShape,
    /// All slots, those of earlier runs too.
    pixels: Vec<u8>,
    images: usize,
    extras: Vec<Output>,
}

impl Batch {
    /// An empty batch with room for `capacity` images.
    #[must_use]
    pub fn with_capacity(shape: InputShape, capacity: usize) -> Self {
        Self { shape, pixels: vec![0; capacity * shape.bytes()], images: 0, extras: Vec::new() }
    }

    /// `len` images of medium gray, for warm-up runs.
    #[must_use]
    pub fn grey(shape: InputShape, len: usize) -> Self {
        Self { shape, pixels: vec![128; len * shape.bytes()], images: len, extras: Vec::new() }
    }

    /// Has `make` write one image into the next slot, uint8 `[height, width, 3]`, which holds whatever it
    /// held before. Where it fails the slot stays free.
    ///
    /// # Errors
    ///
    /// Those of `make`.
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

    /// Puts one image into the next slot.
    ///
    /// # Panics
    ///
    /// Where `pixels` are of another size: preprocessing makes exactly the network's input.
    pub fn push(&mut self, pixels: &Pixels) {
        let Ok(()) = self.fill(|slot| {
            slot.copy_from_slice(pixels.as_bytes());
            Ok::<_, Infallible>(())
        });
    }

    /// Has the run fetch `output` too, for all of its images.
    pub fn want(&mut self, output: Output) {
        if !self.extras.contains(&output) {
            self.extras.push(output);
        }
    }

    /// Empties all slots, and wants nothing extra.
    pub fn clear(&mut self) {
        self.images = 0;
        self.extras.clear();
    }

    /// Images inside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.images
    }

    /// Whether no image is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.images == 0
    }

    /// What its images want beside what every run fetches.
    #[must_use]
    pub fn extras(&self) -> &[Output] {
        &self.extras
    }

    /// Of each image.
    #[must_use]
    pub fn input(&self) -> InputShape {
        self.shape
    }

    /// `[len, height, width, 3]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        [self.len(), self.shape.height, self.shape.width, 3]
    }

    /// All slots' bytes, of the images that are inside.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.pixels[..self.images * self.shape.bytes()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_was_not_filled_is_the_next_ones() {
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
