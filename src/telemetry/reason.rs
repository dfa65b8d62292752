//! Why an image or an upload was rejected.

/// Why an image, upload or request was rejected for lack of capacity; the label of `rejected_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The maximum number of images is in flight.
    QueueFull,
    /// The memory limit would be exceeded.
    MemoryLimit,
    /// The client has its maximum number of images in flight.
    ClientLimit,
    /// The deadline has passed or cannot be met.
    Deadline,
    /// The server is shutting down.
    Draining,
}

impl Reason {
    /// All reasons, so that each is exported as 0 before it first occurs.
    pub const ALL: [Self; 5] =
        [Self::QueueFull, Self::MemoryLimit, Self::ClientLimit, Self::Deadline, Self::Draining];

    /// Name of the reason in metrics, log lines and problem documents.
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
