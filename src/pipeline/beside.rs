//! What is told beside the classes: how sure the answer is, and what its classes have in common.

use serde::Serialize;
use utoipa::ToSchema;

use super::rollup::RollUp;
use super::sets::{Cover, Coverage, Covered};
use super::{Classification, Pipeline};

/// What is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Beside {
    /// Every class that may be the truth, in the place of the best few.
    pub cover: Option<Cover>,
    /// What the rungs of a roll-up reach, where one is wanted. The model has a taxonomy.
    pub share: Option<f64>,
}

/// What is told.
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
    /// What is told of `classification`, whose predictions become the set that is asked for.
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
