//! The input tensor of one run, filled slot by slot.

use super::Output;
use crate::pipeline::preprocess::{Pixels, Preprocess};

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
    pixels: Vec<u8>,
    extras: Vec<Output>,
}

impl Batch {
    /// An empty batch with room for `capacity` images.
    #[must_use]
    pub fn with_capacity(shape: InputShape, capacity: usize) -> Self {
        let pixels = Vec::with_capacity(capacity * shape.bytes());
        Self { shape, pixels, extras: Vec::new() }
    }

    /// `len` images of medium grey, for runs whose answer nobody wants.
    #[must_use]
    pub fn grey(shape: InputShape, len: usize) -> Self {
        Self { shape, pixels: vec![128; len * shape.bytes()], extras: Vec::new() }
    }

    /// Puts one image into the next slot.
    ///
    /// # Panics
    ///
    /// Where `pixels` are of another size: preprocessing makes exactly the network's input.
    pub fn push(&mut self, pixels: &Pixels) {
        assert_eq!(
            pixels.as_bytes().len(),
            self.shape.bytes(),
            "pixels of the network's input size"
        );
        self.pixels.extend_from_slice(pixels.as_bytes());
    }

    /// Has the run fetch `output` too, for all of its images.
    pub fn want(&mut self, output: Output) {
        if !self.extras.contains(&output) {
            self.extras.push(output);
        }
    }

    /// Empties all slots, and wants nothing extra.
    pub fn clear(&mut self) {
        self.pixels.clear();
        self.extras.clear();
    }

    /// Images inside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pixels.len() / self.shape.bytes()
    }

    /// Whether no image is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// What its images want beside what every run fetches.
    #[must_use]
    pub fn extras(&self) -> &[Output] {
        &self.extras
    }

    /// `[len, height, width, 3]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        [self.len(), self.shape.height, self.shape.width, 3]
    }

    /// All slots' bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.pixels
    }
}
