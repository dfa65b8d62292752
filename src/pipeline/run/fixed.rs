//! Graphs that take one number of images get exactly that many: a batch in parts, the last one
//! filled up.

use std::borrow::Cow;

use super::Batch;

/// The input of one run.
pub(super) struct Part<'a> {
    /// uint8 `[slots, height, width, 3]`.
    pub(super) bytes: Cow<'a, [u8]>,
    /// Images that the run takes.
    pub(super) slots: usize,
    /// How many of them, from the first, are the batch's.
    pub(super) images: usize,
}

/// `batch` in runs of `slots` images; empty slots are black, and nobody sees their answers.
pub(super) fn parts(batch: &Batch, slots: usize) -> impl Iterator<Item = Part<'_>> {
    let [_, height, width, channels] = batch.shape();
    let image = height * width * channels;
    batch.as_bytes().chunks((slots * image).max(1)).map(move |part| {
        let images = part.len() / image;
        let bytes = if images == slots {
            Cow::Borrowed(part)
        } else {
            let mut filled = part.to_vec();
            filled.resize(slots * image, 0);
            Cow::Owned(filled)
        };
        Part { bytes, slots, images }
    })
}
