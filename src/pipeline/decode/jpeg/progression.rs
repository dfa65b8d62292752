//! Whether a progressive file is complete, according to its scan headers.

/// The part of the coefficients that a scan of a progressive file contains.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScanRange {
    /// The first and last coefficient.
    pub(super) first: u8,
    pub(super) last: u8,
    /// Whether it contains further bits of coefficients that an earlier scan began.
    pub(super) is_refinement: bool,
    /// The lowest bit.
    pub(super) low: u8,
}

impl ScanRange {
    /// Reads the numbers at the end of the header of a scan of `count` components. `None` if libjpeg rejects them
    /// (jdphuff.c, `start_pass_phuff_decoder`).
    pub(super) fn of([first, last, bits]: [u8; 3], count: u8) -> Option<Self> {
        let (high, low) = (bits >> 4, bits & 15);
        let is_valid = match first {
            0 => last == 0,
            _ => first <= last && last <= 63 && count == 1,
        };
        let is_next_bit = high == 0 || high == low + 1;
        let range = Self { first, last, is_refinement: high > 0, low };
        (is_valid && is_next_bit && low <= 13).then_some(range)
    }
}

/// By component and coefficient: the number of its lowest bits that have not been sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progression([[u8; 64]; 4]);

/// No scan has contained the coefficient yet.
const NOTHING: u8 = u8::MAX;

impl Default for Progression {
    fn default() -> Self {
        Self([[NOTHING; 64]; 4])
    }
}

impl Progression {
    /// Adds a scan of the component at `place`.
    pub(super) fn add(&mut self, place: usize, range: ScanRange) {
        let coefficients = usize::from(range.first)..=usize::from(range.last);
        self.0[place][coefficients].fill(range.low);
    }

    /// Whether all bits of all coefficients that were begun have been sent, and all coefficients of the first
    /// component. An encoder may omit coefficients that are 0 everywhere, but not the remaining bits of
    /// others.
    pub(super) fn is_complete(&self) -> bool {
        self.0.iter().flatten().all(|missing| matches!(*missing, 0 | NOTHING))
            && !self.0[0].contains(&NOTHING)
    }

    /// Whether all bits of all coefficients of this `count` of components have been sent.
    pub(super) fn has_all_coefficients(&self, count: u8) -> bool {
        self.0[..usize::from(count)].iter().flatten().all(|missing| *missing == 0)
    }
}
