//! Batch sizes: splits a batch into runs of allowed sizes, the last one padded.

use std::borrow::Cow;

use super::Batch;
use crate::device::Device;

/// The batch sizes that a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchSizing {
    /// Any size.
    Any,
    /// Powers of two: a GPU selects kernels once per size, which takes far longer than computing empty slots.
    PowersOfTwo,
    /// Only this size, the graph's fixed batch size.
    Fixed(usize),
}

impl BatchSizing {
    /// The sizing for a graph with a fixed batch size or without one, on `device`.
    pub(super) fn of(device: Device, fixed: Option<usize>) -> Self {
        match (fixed, device) {
            (Some(slots), _) => Self::Fixed(slots),
            (None, Device::Cpu) => Self::Any,
            (None, Device::Cuda(_)) => Self::PowersOfTwo,
        }
    }

    /// Number of slots for a run of up to `images` images.
    fn room(self, images: usize) -> usize {
        match self {
            Self::Any => images,
            Self::PowersOfTwo => images.next_power_of_two(),
            Self::Fixed(slots) => slots,
        }
    }

    /// Batches that run every size needed for up to `max_batch` images, the largest first. For
    /// [`BatchSizing::Any`] that is the largest alone, because no size costs more the first time.
    pub(super) fn warm_up_batches(self, max_batch: usize) -> Vec<usize> {
        match self {
            Self::Any | Self::Fixed(_) => vec![max_batch],
            Self::PowersOfTwo => {
                let most = max_batch.next_power_of_two();
                std::iter::successors(Some(most), |&size| (size > 1).then_some(size / 2)).collect()
            }
        }
    }

    /// Splits `batch` into runs; padding images are black, and their results are discarded.
    pub(super) fn parts(self, batch: &Batch) -> impl Iterator<Item = RunInput<'_>> {
        let [images, height, width, channels] = batch.shape();
        let (slots, image) = (self.room(images), height * width * channels);
        batch.as_bytes().chunks((slots * image).max(1)).map(move |part| {
            let images = part.len() / image;
            let bytes = if images == slots {
                Cow::Borrowed(part)
            } else {
                let mut filled = part.to_vec();
                filled.resize(slots * image, 0);
                Cow::Owned(filled)
            };
            RunInput { bytes, slots, images }
        })
    }
}

/// The input of one run.
pub(super) struct RunInput<'a> {
    /// uint8 `[slots, height, width, 3]`.
    pub(super) bytes: Cow<'a, [u8]>,
    /// Images in the run, including padding.
    pub(super) slots: usize,
    /// Images of the batch, which come first.
    pub(super) images: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::run::InputShape;

    /// Slots and images of each run.
    fn runs(slots: BatchSizing, images: usize) -> Vec<(usize, usize)> {
        let batch = Batch::grey(InputShape { height: 1, width: 2 }, images);
        let parts = slots.parts(&batch);
        let run = |part: RunInput<'_>| {
            assert_eq!(part.bytes.len(), part.slots * 6);
            assert!(part.bytes[..part.images * 6].iter().all(|&byte| byte == 128));
            assert!(part.bytes[part.images * 6..].iter().all(|&byte| byte == 0));
            (part.slots, part.images)
        };
        parts.map(run).collect()
    }

    #[test]
    fn a_batch_runs_unchanged_padded_or_in_parts() {
        assert_eq!(runs(BatchSizing::Any, 3), [(3, 3)]);
        assert_eq!(runs(BatchSizing::PowersOfTwo, 3), [(4, 3)]);
        assert_eq!(runs(BatchSizing::PowersOfTwo, 4), [(4, 4)]);
        assert_eq!(runs(BatchSizing::Fixed(2), 3), [(2, 2), (2, 1)]);
        assert_eq!(runs(BatchSizing::Fixed(8), 3), [(8, 3)]);
    }

    #[test]
    fn on_a_gpu_all_sizes_are_warmed_up() {
        assert_eq!(BatchSizing::of(Device::Cuda(0), None).warm_up_batches(6), [8, 4, 2, 1]);
        assert_eq!(BatchSizing::of(Device::Cuda(0), Some(4)).warm_up_batches(6), [6]);
        assert_eq!(BatchSizing::of(Device::Cpu, None).warm_up_batches(6), [6]);
    }
}
