//! Selects the classes of an answer, with prediction sets and roll-ups.

use serde::Serialize;
use utoipa::ToSchema;

use super::prediction_sets::{Coverage, SetFacts, SetRequest};
use super::rollup::RollUp;
use super::topk::{self, ClassFilter, Prediction};
use super::{Classification, Pipeline};

/// Which classes an answer has.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// The most probable ones, at most so many.
    Top(usize),
    /// The most probable ones of some classes, or of those that reach a threshold.
    Filtered(ClassFilter),
    /// A conformal prediction set.
    Set(SetRequest),
}

impl Selection {
    /// The classes that can be answered; empty for all.
    #[must_use]
    pub fn among(&self) -> &[usize] {
        match self {
            Self::Filtered(filter) => &filter.among,
            Self::Top(_) | Self::Set(_) => &[],
        }
    }
}

/// What is answered for the scores of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct PostprocessOptions {
    /// The classes.
    pub selection: Selection,
    /// The share of a roll-up, if one is requested; then the model has a taxonomy.
    pub share: Option<f64>,
}

/// Additions to an answer's classes.
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
    /// The classes of `classification` that `options` select, and the additions.
    #[must_use]
    pub fn postprocess(
        &self,
        options: &PostprocessOptions,
        classification: &Classification,
    ) -> (Vec<Prediction>, Postprocessed) {
        let labels = &self.card.labels;
        let taxonomy = options.share.and_then(|share| Some((share, self.taxonomy().ok()?)));
        let rollup = taxonomy.map(|(share, taxonomy)| classification.roll_up(taxonomy, share));
        let added = Postprocessed { rollup, ..Postprocessed::default() };
        match &options.selection {
            Selection::Top(k) => {
                (topk::top_k(&classification.scores.probabilities, labels, *k), added)
            }
            Selection::Filtered(filter) => (classification.filtered(labels, filter), added),
            Selection::Set(cover) => {
                let (set, SetFacts { coverage, abstained }) = classification.covered(labels, cover);
                (set, Postprocessed { coverage: Some(coverage), abstained, ..added })
            }
        }
    }
}
