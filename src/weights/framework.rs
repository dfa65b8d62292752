//! Frameworks that weights were trained in, where their arithmetic differs.

/// A training framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framework {
    /// Convolutions have a padding of half the kernel; the epsilon of batch norms is 1e-5.
    PyTorch,
    /// Convolutions with a stride have the padding `SAME`; the epsilon of batch norms is 1e-3.
    TensorFlow,
}

impl Framework {
    /// The epsilon of batch norms, which is added to the variance.
    #[must_use]
    pub const fn epsilon(self) -> f64 {
        match self {
            Self::PyTorch => 1e-5,
            Self::TensorFlow => 1e-3,
        }
    }
}
