//! Why an image was rejected.

/// Why an image was turned away although nothing is wrong with it; the label of `rejected_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The queue holds as many images as it may.
    QueueFull,
    /// The admission ceiling for memory is reached.
    MemoryLimit,
    /// The client has as many images in flight as it may have.
    ClientLimit,
    /// The deadline has passed, or could not be met any more.
    Deadline,
    /// The server is shutting down.
    Draining,
}

impl Reason {
    /// Every reason, so that each is visible as 0 before it first happens.
    pub const ALL: [Self; 5] =
        [Self::QueueFull, Self::MemoryLimit, Self::ClientLimit, Self::Deadline, Self::Draining];

    /// The word for this reason in metrics, log lines and problem documents.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::MemoryLimit => "memory-limit",
            Self::ClientLimit => "client-limit",
            Self::Deadline => "deadline",
            Self::Draining => "draining",
        }
    }
}
