//! Single-label or multi-label classification.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the scores of a network mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Exactly one class is correct: the probabilities are the softmax of the logits and sum to 1.
    #[default]
    SingleLabel,
    /// Any number of classes can be correct: each probability is the sigmoid of its own logit.
    MultiLabel,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SingleLabel => "single-label",
            Self::MultiLabel => "multi-label",
        })
    }
}
