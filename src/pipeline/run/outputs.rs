//! The outputs of a graph.

use std::mem;

use super::RunError;
use crate::pipeline::Output;

/// What one run fetched: for each output a row of values for each image, to be handed on without a copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    tensors: Vec<Fetched>,
}

/// One output of all images.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fetched {
    output: Output,
    /// Of one image.
    shape: Vec<usize>,
    /// Of each image.
    rows: Vec<Vec<f32>>,
}

impl Outputs {
    /// Outputs made by hand, each `[images, …]` flattened; for engines that are not a session.
    #[must_use]
    pub fn new(images: usize, tensors: Vec<(Output, Vec<f32>)>) -> Self {
        let fetched = |(output, values): (Output, Vec<f32>)| {
            let width = values.len() / images;
            Fetched { output, shape: vec![width], rows: rows(&values, width) }
        };
        Self { tensors: tensors.into_iter().map(fetched).collect() }
    }

    /// The values of each image in one output; empty where that was not fetched.
    #[must_use]
    pub fn rows(&self, output: Output) -> &[Vec<f32>] {
        self.fetched(output).map_or(&[], |fetched| &fetched.rows)
    }

    /// The values of one image in one output; empty where that was not fetched.
    #[must_use]
    pub fn row(&self, output: Output, image: usize) -> &[f32] {
        self.rows(output).get(image).map_or(&[], Vec::as_slice)
    }

    /// The same, which are gone from here then.
    #[must_use]
    pub fn take(&mut self, output: Output, image: usize) -> Vec<f32> {
        let fetched = self.tensors.iter_mut().find(|fetched| fetched.output == output);
        fetched.and_then(|fetched| fetched.rows.get_mut(image)).map(mem::take).unwrap_or_default()
    }

    /// The shape of one image's values in one output; empty where that was not fetched.
    #[must_use]
    pub fn shape(&self, output: Output) -> &[usize] {
        self.fetched(output).map_or(&[], |fetched| &fetched.shape)
    }

    /// What one run fetched: each output's values with their shape, `[images, …]`.
    ///
    /// # Errors
    ///
    /// [`RunError::Shape`] where an output is not of so many images.
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

    /// Everything that one run fetched.
    pub(super) fn of(tensors: Vec<Fetched>) -> Self {
        Self { tensors }
    }

    /// The same of the first `images` images.
    pub(super) fn truncate(&mut self, images: usize) {
        for Fetched { rows, .. } in &mut self.tensors {
            rows.truncate(images);
        }
    }

    /// Puts the images of another run, which fetched the same, behind these.
    pub(super) fn append(&mut self, other: Self) {
        for (ours, theirs) in self.tensors.iter_mut().zip(other.tensors) {
            ours.rows.extend(theirs.rows);
        }
    }

    fn fetched(&self, output: Output) -> Option<&Fetched> {
        self.tensors.iter().find(|fetched| fetched.output == output)
    }
}

/// `values` in rows of `width`.
fn rows(values: &[f32], width: usize) -> Vec<Vec<f32>> {
    values.chunks_exact(width.max(1)).map(<[f32]>::to_vec).collect()
}
