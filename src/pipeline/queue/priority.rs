//! The class of a request's images.

use std::str::FromStr;

/// Whether somebody waits for an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Priority {
    /// It is taken before all batch images, but for one turn of sixteen.
    #[default]
    Interactive,
    /// It may wait.
    Batch,
}

/// The word is not a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it takes interactive or batch")]
pub struct BadPriority;

impl Priority {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Batch];

    /// Its word in requests, files and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Batch => "batch",
        }
    }

    /// The lower one of both.
    #[must_use]
    pub fn lower(self, other: Self) -> Self {
        if other == Self::Batch { other } else { self }
    }
}

impl FromStr for Priority {
    type Err = BadPriority;

    fn from_str(word: &str) -> Result<Self, BadPriority> {
        Self::ALL.into_iter().find(|priority| priority.word() == word).ok_or(BadPriority)
    }
}
