//! The settings to measure.

use serde::Serialize;

use crate::model::Precision;

/// One combination of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The precision.
    pub precision: Precision,
    /// Number of concurrent sessions.
    pub sessions: usize,
    /// Number of threads of each session.
    pub threads: usize,
    /// Maximum batch size.
    pub max_batch: usize,
}

impl Candidate {
    /// Whether both candidates use the same sessions and differ in the batch size only.
    #[must_use]
    pub fn has_sessions_of(&self, other: &Self) -> bool {
        (self.precision, self.sessions, self.threads)
            == (other.precision, other.sessions, other.threads)
    }
}

/// Batch sizes to try: one, the default, and one for which kernels are most efficient.
const BATCHES: [usize; 3] = [1, 4, 16];

/// The candidates for a machine with this many cores. Those with the same sessions are adjacent.
///
/// Sessions and threads divide the cores evenly, in all possible ways. One more arrangement has one session more than
/// cores, which hides the time that a core waits for memory.
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

/// The candidates for a GPU: one or two sessions and large batches.
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
    fn all_even_divisions_of_the_cores_and_one_additional_session_are_candidates() {
        let found = candidates(4, &[Precision::Fp32]);
        let mut arrangements: Vec<_> =
            found.iter().map(|found| (found.sessions, found.threads)).collect();
        arrangements.dedup();
        assert_eq!(arrangements, [(5, 1), (4, 1), (2, 2), (1, 4)]);
        assert_eq!(found.len(), 4 * BATCHES.len());
        assert_eq!(candidates(1, &[Precision::Fp32, Precision::Int8]).len(), 2 * 2 * BATCHES.len());
    }
}
