//! What could be fastest.

use serde::Serialize;

use crate::model::Precision;

/// One way to use the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// In which arithmetic.
    pub precision: Precision,
    /// Sessions that run side by side.
    pub sessions: usize,
    /// Threads inside each.
    pub threads: usize,
    /// The most images in one run.
    pub max_batch: usize,
}

impl Candidate {
    /// Whether the sessions of both are the same, so that only the batches differ.
    #[must_use]
    pub fn has_sessions_of(&self, other: &Self) -> bool {
        (self.precision, self.sessions, self.threads)
            == (other.precision, other.sessions, other.threads)
    }
}

/// Batches that are tried: alone, the default, and one that fills wide kernels.
const BATCHES: [usize; 3] = [1, 4, 16];

/// The candidates for a machine with `cores`; those with the same sessions lie side by side.
///
/// Threads and sessions share out the cores evenly, in every way that is possible; one more takes a
/// session more than there are cores, which hides the time that a core waits for memory.
#[must_use]
pub fn candidates(cores: usize, precisions: &[Precision]) -> Vec<Candidate> {
    let even = (1..=cores).filter(|sessions| cores.is_multiple_of(*sessions));
    let mut arrangements: Vec<_> = even.map(|sessions| (sessions, cores / sessions)).collect();
    arrangements.push((cores + 1, 1));
    let mut found = Vec::new();
    for &precision in precisions {
        for &(sessions, threads) in arrangements.iter().rev() {
            for max_batch in BATCHES {
                found.push(Candidate { precision, sessions, threads, max_batch });
            }
        }
    }
    found
}

/// The candidates for a GPU, which one or two sessions keep busy, and which wants large batches.
#[must_use]
pub fn candidates_on_gpu(precisions: &[Precision]) -> Vec<Candidate> {
    let mut found = Vec::new();
    for &precision in precisions {
        for sessions in [1, 2] {
            for max_batch in [1, 8, 32, 128] {
                found.push(Candidate { precision, sessions, threads: 1, max_batch });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_even_share_of_the_cores_is_tried_and_one_session_more() {
        let found = candidates(4, &[Precision::Fp32]);
        let mut arrangements: Vec<_> =
            found.iter().map(|found| (found.sessions, found.threads)).collect();
        arrangements.dedup();
        assert_eq!(arrangements, [(5, 1), (4, 1), (2, 2), (1, 4)]);
        assert_eq!(found.len(), 4 * BATCHES.len());
        assert_eq!(candidates(1, &[Precision::Fp32, Precision::Int8]).len(), 2 * 2 * BATCHES.len());
    }
}
