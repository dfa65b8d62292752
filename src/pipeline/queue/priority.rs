//! The priority class of a request's images.

use std::str::FromStr;

/// Priority class: interactive or batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Priority {
    /// Taken before all batch images, except for one turn of sixteen.
    #[default]
    Interactive,
    /// May wait.
    Batch,
}

/// The value is not a priority class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use interactive or batch")]
pub struct BadPriority;

impl Priority {
    /// Both classes.
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Batch];

    /// Its name in requests, files and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Batch => "batch",
        }
    }

    /// The lower of two classes.
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
