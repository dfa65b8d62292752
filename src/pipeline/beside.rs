//! Additions to an answer's classes: prediction sets and roll-ups.

use serde::Serialize;
use utoipa::ToSchema;

use super::rollup::RollUp;
use super::sets::{Cover, Coverage, Covered};
use super::{Classification, Pipeline};

/// What is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Beside {
    /// A prediction set instead of the top classes.
    pub cover: Option<Cover>,
    /// What the rungs of a roll-up reach, where one is wanted. The model has a taxonomy.
    pub share: Option<f64>,
}

/// The additions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct Told {
    /// What is promised of the set, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub coverage: Option<Coverage>,
    /// Whether the set has more classes than the caller has use for; not there where none were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub abstained: Option<bool>,
    /// What the classes have in common.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rollup: Option<RollUp>,
}

impl Pipeline {
    /// The additions for `classification`, whose predictions are replaced by the prediction set if
    /// one is requested.
    #[must_use]
    pub fn tell(&self, beside: &Beside, classification: Classification) -> (Classification, Told) {
        let taxonomy = beside.share.and_then(|share| Some((share, self.taxonomy().ok()?)));
        let rollup = taxonomy.map(|(share, taxonomy)| classification.roll_up(taxonomy, share));
        match &beside.cover {
            None => (classification, Told { rollup, ..Told::default() }),
            Some(cover) => {
                let (set, Covered { coverage, abstained }) =
                    classification.covered(&self.card.labels, cover);
                (set, Told { coverage: Some(coverage), abstained, rollup })
            }
        }
    }
}
