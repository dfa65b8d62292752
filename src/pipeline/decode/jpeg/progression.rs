//! Whether a progressive file is complete, according to its scan headers.

/// By colour and coefficient: how many of its lowest bits have not been sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progression([[u8; 64]; 4]);

/// No scan has had it yet.
const NOTHING: u8 = u8::MAX;

impl Default for Progression {
    fn default() -> Self {
        Self([[NOTHING; 64]; 4])
    }
}

impl Progression {
    /// Notes a scan of the colour at `place`, whose header ends with these numbers.
    pub(super) fn add(&mut self, place: usize, [first, last, bits]: [u8; 3]) {
        let places = usize::from(first)..=usize::from(last);
        if let Some(coefficients) = self.0[place].get_mut(places) {
            coefficients.fill(bits & 15);
        }
    }

    /// Whether all bits were sent of what was begun, and every coefficient of the first colour was: an
    /// encoder may leave out what is 0 everywhere, and not the rest of what it has begun.
    pub(super) fn is_complete(&self) -> bool {
        self.0.iter().flatten().all(|missing| matches!(*missing, 0 | NOTHING))
            && !self.0[0].contains(&NOTHING)
    }
}
