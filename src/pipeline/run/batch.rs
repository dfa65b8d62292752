//! The input tensor of one run, filled slot by slot.

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
}

impl Batch {
    /// An empty batch with room for `capacity` images.
    #[must_use]
    pub fn with_capacity(shape: InputShape, capacity: usize) -> Self {
        Self { shape, pixels: Vec::with_capacity(capacity * shape.bytes()) }
    }

    /// `len` images of medium grey, for runs whose answer nobody wants.
    #[must_use]
    pub fn grey(shape: InputShape, len: usize) -> Self {
        Self { shape, pixels: vec![128; len * shape.bytes()] }
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

    /// Empties all slots.
    pub fn clear(&mut self) {
        self.pixels.clear();
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
