//! What a graph answers.

use super::RunError;

/// The outputs that graphs have; those of others' networks lack the last two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// f32 `[N, classes]`, before the softmax.
    Logits,
    /// f32 `[N, classes]`, after it.
    Probabilities,
    /// f32 `[N, channels]`, the pooled features.
    Embedding,
    /// f32 `[N, channels, height, width]`, what the last block answers.
    FeatureMap,
}

impl Output {
    /// Its name in the graph.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Embedding => "embedding",
            Self::FeatureMap => "feature_map",
        }
    }
}

/// What one run fetched, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    images: usize,
    tensors: Vec<Fetched>,
}

/// One output of all images.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fetched {
    output: Output,
    /// Of one image.
    shape: Vec<usize>,
    /// Of all images.
    values: Vec<f32>,
}

impl Outputs {
    /// Outputs made by hand, each `[images, …]` flattened; for engines that are not a session.
    #[must_use]
    pub fn new(images: usize, tensors: Vec<(Output, Vec<f32>)>) -> Self {
        let fetched = |(output, values): (Output, Vec<f32>)| {
            let shape = vec![values.len() / images];
            Fetched { output, shape, values }
        };
        Self { images, tensors: tensors.into_iter().map(fetched).collect() }
    }

    /// The values of all images in one output, one after the other; empty where that was not
    /// fetched.
    #[must_use]
    pub fn all(&self, output: Output) -> &[f32] {
        self.fetched(output).map_or(&[], |fetched| &fetched.values)
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
        Ok(Fetched { output, shape: shape.collect(), values: values.to_vec() })
    }

    /// Everything that one run fetched.
    pub(super) fn of(images: usize, tensors: Vec<Fetched>) -> Self {
        Self { images, tensors }
    }

    /// The same of the first `images` images.
    pub(super) fn truncate(&mut self, images: usize) {
        for Fetched { values, .. } in &mut self.tensors {
            values.truncate(values.len() / self.images * images);
        }
        self.images = images;
    }

    /// Puts the images of another run, which fetched the same, behind these.
    pub(super) fn append(&mut self, other: Self) {
        self.images += other.images;
        for (ours, theirs) in self.tensors.iter_mut().zip(other.tensors) {
            ours.values.extend(theirs.values);
        }
    }

    fn fetched(&self, output: Output) -> Option<&Fetched> {
        self.tensors.iter().find(|fetched| fetched.output == output)
    }

    /// The values of one image in one output; empty where that was not fetched.
    #[must_use]
    pub fn row(&self, output: Output, image: usize) -> &[f32] {
        let values = self.all(output);
        let width = values.len() / self.images;
        &values[image * width..][..width]
    }
}
