//! The frameworks whose weights are read, where their arithmetic differs.

/// A training framework, where its arithmetic is not the others'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framework {
    /// Convolutions have half the kernel of zeros on each side; the epsilon of a batch norm is 1e-5.
    PyTorch,
    /// A convolution with stride has the padding `SAME`; the epsilon of a batch norm is 1e-3.
    TensorFlow,
}

impl Framework {
    /// What a batch norm adds to a variance before it takes the root.
    #[must_use]
    pub const fn epsilon(self) -> f64 {
        match self {
            Self::PyTorch => 1e-5,
            Self::TensorFlow => 1e-3,
        }
    }
}
