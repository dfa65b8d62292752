//! Additions to an answer's classes: prediction sets and roll-ups.

use serde::Serialize;
use utoipa::ToSchema;

use super::rollup::RollUp;
use super::sets::{Cover, Coverage, Covered};
use super::{Classification, Pipeline};

/// The requested additions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PostprocessOptions {
    /// A prediction set instead of the top classes.
    pub cover: Option<Cover>,
    /// The share of a roll-up, if one is requested; then the model has a taxonomy.
    pub share: Option<f64>,
}

/// The additions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct Postprocessed {
    /// The coverage of the prediction set, if one was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub coverage: Option<Coverage>,
    /// Whether the set has more classes than `max_set`; missing without `max_set`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub abstained: Option<bool>,
    /// The roll-up to wider classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rollup: Option<RollUp>,
}

impl Pipeline {
    /// The additions for `classification`, whose predictions are replaced by the prediction set if
    /// one is requested.
    #[must_use]
    pub fn postprocess(
        &self,
        options: &PostprocessOptions,
        classification: Classification,
    ) -> (Classification, Postprocessed) {
        let taxonomy = options.share.and_then(|share| Some((share, self.taxonomy().ok()?)));
        let rollup = taxonomy.map(|(share, taxonomy)| classification.roll_up(taxonomy, share));
        match &options.cover {
            None => (classification, Postprocessed { rollup, ..Postprocessed::default() }),
            Some(cover) => {
                let (set, Covered { coverage, abstained }) =
                    classification.covered(&self.card.labels, cover);
                (set, Postprocessed { coverage: Some(coverage), abstained, rollup })
            }
        }
    }
}
