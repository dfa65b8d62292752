//! The outputs of a graph.

use std::mem;

use super::RunError;
use crate::pipeline::Output;

/// The outputs that one run fetched: for each output a row of values per image.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    tensors: Vec<Fetched>,
}

/// One output of all images.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fetched {
    output: Output,
    /// Shape for one image.
    shape: Vec<usize>,
    /// Values of each image.
    rows: Vec<Vec<f32>>,
}

impl Outputs {
    /// Outputs with given values, each `[images, …]` flattened; for engines other than sessions.
    #[must_use]
    pub fn new(images: usize, tensors: Vec<(Output, Vec<f32>)>) -> Self {
        let fetched = |(output, values): (Output, Vec<f32>)| {
            let width = values.len() / images;
            Fetched { output, shape: vec![width], rows: rows(&values, width) }
        };
        Self { tensors: tensors.into_iter().map(fetched).collect() }
    }

    /// The values of all images in one output; empty if it was not fetched.
    #[must_use]
    pub fn rows(&self, output: Output) -> &[Vec<f32>] {
        self.fetched(output).map_or(&[], |fetched| &fetched.rows)
    }

    /// The values of one image in one output; empty if it was not fetched.
    #[must_use]
    pub fn row(&self, output: Output, image: usize) -> &[f32] {
        self.rows(output).get(image).map_or(&[], Vec::as_slice)
    }

    /// Moves the values of one image out, without a copy.
    #[must_use]
    pub fn take(&mut self, output: Output, image: usize) -> Vec<f32> {
        let fetched = self.tensors.iter_mut().find(|fetched| fetched.output == output);
        fetched.and_then(|fetched| fetched.rows.get_mut(image)).map(mem::take).unwrap_or_default()
    }

    /// The shape of one image's values in one output; empty if it was not fetched.
    #[must_use]
    pub fn shape(&self, output: Output) -> &[usize] {
        self.fetched(output).map_or(&[], |fetched| &fetched.shape)
    }

    /// Converts an output of a run: values with the shape `[images, …]`.
    ///
    /// # Errors
    ///
    /// [`RunError::Shape`] if the first dimension is not `images`.
    pub(super) fn fetch(
        images: usize,
        output: Output,
        shape: &[i64],
        values: &[f32],
    ) -> Result<Fetched, RunError> {
        if !values.len().is_multiple_of(images)
            || shape.first().copied() != i64::try_from(images).ok()
        {
            let (output, found) = (output.name(), shape.to_vec());
            return Err(RunError::Shape { output, found, images });
        }
        let shape = shape.iter().skip(1).map(|&size| usize::try_from(size).unwrap_or(0));
        let rows = rows(values, values.len() / images);
        Ok(Fetched { output, shape: shape.collect(), rows })
    }

    /// All outputs of one run.
    pub(super) fn of(tensors: Vec<Fetched>) -> Self {
        Self { tensors }
    }

    /// Keeps the first `images` images.
    pub(super) fn truncate(&mut self, images: usize) {
        for Fetched { rows, .. } in &mut self.tensors {
            rows.truncate(images);
        }
    }

    /// Appends the images of another run with the same outputs.
    pub(super) fn append(&mut self, other: Self) {
        for (ours, theirs) in self.tensors.iter_mut().zip(other.tensors) {
            ours.rows.extend(theirs.rows);
        }
    }

    fn fetched(&self, output: Output) -> Option<&Fetched> {
        self.tensors.iter().find(|fetched| fetched.output == output)
    }
}

/// Splits `values` into rows of `width`.
fn rows(values: &[f32], width: usize) -> Vec<Vec<f32>> {
    values.chunks_exact(width.max(1)).map(<[f32]>::to_vec).collect()
}
