//! Whether a progressive file is complete, according to its scan headers.

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
    /// Adds a scan of the component at `place`, whose header ends with these numbers.
    pub(super) fn add(&mut self, place: usize, [first, last, bits]: [u8; 3]) {
        let places = usize::from(first)..=usize::from(last);
        if let Some(coefficients) = self.0[place].get_mut(places) {
            coefficients.fill(bits & 15);
        }
    }

    /// Whether all bits of all coefficients that were begun have been sent, and all coefficients of the first
    /// component. An encoder may omit coefficients that are 0 everywhere, but not the remaining bits of
    /// others.
    pub(super) fn is_complete(&self) -> bool {
        self.0.iter().flatten().all(|missing| matches!(*missing, 0 | NOTHING))
            && !self.0[0].contains(&NOTHING)
    }
}
