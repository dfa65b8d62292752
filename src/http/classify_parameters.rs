//! The parameters of `POST /classify`, checked against the model.

use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use super::query;
use crate::pipeline::Pipeline;
use crate::pipeline::classes::ClassIndex;
use crate::pipeline::postprocess::{PostprocessOptions, Selection};
use crate::pipeline::prediction_sets::SetRequest;
use crate::pipeline::topk::{self, ClassFilter};

/// Maximum number of maps in one answer.
const MAX_MAPS: usize = 32;

/// Maximum number of comma-separated parts of `labels` for each class of the model. A label may have commas
/// itself, as in `tench, Tinca tinca`, so it is more than one.
const MAX_PARTS_PER_CLASS: usize = 4;
/// So many parts are accepted for a model of few classes, too.
const MAX_PARTS_ANYWAY: usize = 256;
/// The default of `share`.
const DEFAULT_SHARE: f64 = 0.5;

/// The parameters of a request.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(super) struct ClassifyParameters {
    /// Number of classes; 5 by default, and for a multi-label network with a threshold all that reach it
    #[param(minimum = 1)]
    #[serde(deserialize_with = "query::count")]
    top_k: Option<usize>,

    /// Restrict the answer to these classes, over which the probabilities are renormalised (not for a multi-label network): labels or indices, repeated or separated by commas
    labels: Vec<String>,

    /// Only classes with at least this probability
    #[param(minimum = 0, maximum = 1)]
    #[serde(deserialize_with = "probability")]
    threshold: Option<f32>,

    /// cam adds class activation maps
    #[param(inline)]
    explain: Option<Explain>,

    /// Classes to map, as labels or indices; the most probable class by default. Requires explain=cam
    #[param(max_items = 32)]
    class: Vec<String>,

    /// Answer a conformal prediction set with this coverage: the smallest set of classes that contains the true class for this share of images. Excludes `top_k`, `labels` and `threshold`; the model's card must have a calibration
    #[param(exclusive_minimum = 0, maximum = 1)]
    #[serde(deserialize_with = "share")]
    coverage: Option<f64>,

    /// Abstain if the prediction set has more classes than this. Requires coverage
    #[param(minimum = 1)]
    #[serde(deserialize_with = "classes")]
    max_set: Option<usize>,

    /// Sum the probabilities over WordNet's hypernyms; for models with ImageNet classes
    #[param(inline)]
    rollup: Option<RollUpBy>,

    /// The probability that each entry of the roll-up's path reaches; 0.5 by default. Requires rollup
    #[param(exclusive_minimum = 0, maximum = 1)]
    #[serde(deserialize_with = "share")]
    share: Option<f64>,
}

/// How a score is explained.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Explain {
    Cam,
}

/// The hierarchy of a roll-up.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RollUpBy {
    Wordnet,
}

fn probability<'de, D: Deserializer<'de>>(value: D) -> Result<Option<f32>, D::Error> {
    query::parsed(value, "a probability from 0 to 1", |number| (0.0..=1.0).contains(number))
}

fn share<'de, D: Deserializer<'de>>(value: D) -> Result<Option<f64>, D::Error> {
    let takes = "a number above 0 and at most 1, such as 0.95";
    query::parsed(value, takes, |number| (0.0..=1.0).contains(number))
}

fn classes<'de, D: Deserializer<'de>>(value: D) -> Result<Option<usize>, D::Error> {
    query::parsed(value, "a whole number of classes, at least 1", |&count| count > 0)
}

impl ClassifyParameters {
    /// The classes to map: `None` without `explain`, empty for the most probable class.
    pub(super) fn maps(&self, index: &ClassIndex) -> Result<Option<Vec<usize>>, Problem> {
        let count = self.class.len();
        if count > MAX_MAPS {
            return Err(Problem::invalid_parameter(format!(
                "class is given {count} times; the maximum is {MAX_MAPS}"
            )));
        }
        let classes = self.class.iter().map(|typed| class(typed, index));
        let classes: Vec<usize> = classes.collect::<Result<_, _>>()?;
        match self.explain {
            Some(Explain::Cam) => Ok(Some(classes)),
            None if classes.is_empty() => Ok(None),
            None => Err(Problem::invalid_parameter(
                "class needs explain; add explain=cam or remove class".to_owned(),
            )),
        }
    }

    /// The classes of the answer, and additions to them.
    pub(super) fn postprocess(&self, pipeline: &Pipeline) -> Result<PostprocessOptions, Problem> {
        let among = self.among(pipeline.classes())?;
        let usual = topk::default_top_k(pipeline.card().task, self.threshold);
        let top_k = self.top_k.unwrap_or(usual);
        let selection = match (self.cover(pipeline)?, self.threshold) {
            (Some(cover), _) => Selection::Set(cover),
            (None, None) if among.is_empty() => Selection::Top(top_k),
            (None, threshold) => {
                let threshold = threshold.unwrap_or(0.0);
                Selection::Filtered(ClassFilter { among, threshold, top_k })
            }
        };
        Ok(PostprocessOptions { selection, share: self.share(pipeline)? })
    }

    /// The classes to which the answer is restricted, each once, in ascending order.
    fn among(&self, index: &ClassIndex) -> Result<Vec<usize>, Problem> {
        // Commas are inside labels, too, so this counts at least as many as there are.
        let commas = |typed: &String| typed.bytes().filter(|&byte| byte == b',').count();
        let listed: usize = self.labels.iter().map(|typed| commas(typed) + 1).sum();
        if listed > (index.count() * MAX_PARTS_PER_CLASS).max(MAX_PARTS_ANYWAY) {
            return Err(Problem::bad_request(format!(
                "labels has {listed} parts separated by commas, more than this model's {} classes can need; list each class \
                 once",
                index.count()
            )));
        }
        let mut among: Vec<usize> = Vec::new();
        for typed in &self.labels {
            // A label may have commas itself: `tench, Tinca tinca`.
            match index.find(typed) {
                Some(class) => among.push(class),
                None => {
                    for part in typed.split(',') {
                        among.push(class(part.trim(), index)?);
                    }
                }
            }
        }
        among.sort_unstable();
        among.dedup();
        Ok(among)
    }

    fn cover(&self, pipeline: &Pipeline) -> Result<Option<SetRequest>, Problem> {
        let Some(asked) = self.coverage else {
            return match self.max_set {
                None => Ok(None),
                Some(_) => Err(Problem::invalid_parameter(
                    "max_set needs coverage; add coverage=0.95 or remove max_set",
                )),
            };
        };
        let cuts = [
            ("top_k", self.top_k.is_some()),
            ("labels", !self.labels.is_empty()),
            ("threshold", self.threshold.is_some()),
        ];
        if let Some((cut, _)) = cuts.into_iter().find(|(_, is_sent)| *is_sent) {
            return Err(Problem::invalid_parameter(format!(
                "{cut} cannot be combined with coverage, because it would remove classes from the prediction set; \
                 remove one of the two"
            )));
        }
        Ok(Some(SetRequest::new(pipeline.card(), asked, self.max_set)?))
    }

    fn share(&self, pipeline: &Pipeline) -> Result<Option<f64>, Problem> {
        match self.rollup {
            Some(RollUpBy::Wordnet) => {}
            None if self.share.is_none() => return Ok(None),
            None => {
                return Err(Problem::invalid_parameter(
                    "share needs rollup; add rollup=wordnet or remove share",
                ));
            }
        }
        if !self.labels.is_empty() {
            return Err(Problem::invalid_parameter(
                "labels cannot be combined with rollup, which sums over all classes; remove one of the two",
            ));
        }
        pipeline.taxonomy()?;
        let share = self.share.unwrap_or(DEFAULT_SHARE);
        if share > 0.0 {
            Ok(Some(share))
        } else {
            Err(Problem::invalid_parameter("share is 0; it must be more than 0 and at most 1"))
        }
    }
}

fn class(typed: &str, index: &ClassIndex) -> Result<usize, Problem> {
    index.find(typed).ok_or_else(|| Problem::invalid_parameter(index.no_such_class(typed)))
}
