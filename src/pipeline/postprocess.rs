//! Prediction sets and roll-ups, which are added to an answer on request.

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
    /// Minimum probability of the roll-up's classes, if one is requested; requires a taxonomy.
    pub share: Option<f64>,
}

/// The additions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct Postprocessed {
    /// The coverage of the prediction set, if one was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub coverage: Option<Coverage>,
    /// Whether the set has more than `max_set` classes; `None` without `max_set`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub abstained: Option<bool>,
    /// The roll-up to wider classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rollup: Option<RollUp>,
}

impl Pipeline {
    /// Computes the additions for `classification`. If a prediction set is requested, it replaces the
    /// predictions.
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
