//! The accepted formats: a subset of the supported ones.

use std::fmt;

use super::Format;

/// A set of formats.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Formats(u8);

impl Formats {
    /// All formats.
    pub const ALL: Self = Self(u8::MAX);

    /// These formats; all of them if there are none.
    #[must_use]
    pub fn of(formats: &[Format]) -> Self {
        match formats {
            [] => Self::ALL,
            _ => Self(formats.iter().fold(0, |set, format| set | bit(*format))),
        }
    }

    /// Whether `format` is one of them.
    #[must_use]
    pub fn contain(self, format: Format) -> bool {
        self.0 & bit(format) != 0
    }
}

fn bit(format: Format) -> u8 {
    1 << format as u8
}

impl fmt::Display for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Format::ALL.iter().filter(|format| self.contain(**format));
        let names: Vec<String> = names.map(ToString::to_string).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
