//! The arithmetic of a graph, and the option that chooses it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Arithmetic of a graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// float32, as most networks are trained in.
    #[default]
    Fp32,
    /// float16, except input and scores.
    Fp16,
    /// int8 weights and uint8 activations.
    Int8,
}

/// The option `--precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrecisionChoice {
    /// The fastest precision for the device that the model's files provide.
    Auto,
    /// This precision, or an error.
    Only(Precision),
}

/// Text that is not a precision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a precision; use auto, fp32, int8 or fp16")]
pub struct BadPrecision(String);

/// The order of declaration, so that tables with several precisions are always written in the same order.
impl Ord for Precision {
    fn cmp(&self, other: &Self) -> Ordering {
        (*self as u8).cmp(&(*other as u8))
    }
}

impl PartialOrd for Precision {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for PrecisionChoice {
    type Err = BadPrecision;

    fn from_str(word: &str) -> Result<Self, BadPrecision> {
        match word {
            "auto" => Ok(Self::Auto),
            "fp32" => Ok(Self::Only(Precision::Fp32)),
            "fp16" => Ok(Self::Only(Precision::Fp16)),
            "int8" => Ok(Self::Only(Precision::Int8)),
            _ => Err(BadPrecision(word.to_owned())),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        })
    }
}
