//! Options of `resnetd classify` for prediction sets and roll-ups, as in `POST /classify`.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::pipeline::Pipeline;
use crate::pipeline::postprocess::{PostprocessOptions, Postprocessed, Selection};
use crate::pipeline::prediction_sets::SetRequest;
use crate::pipeline::rollup::RollUpEntry;

#[derive(Debug, Args)]
pub(super) struct PostprocessArgs {
    /// Show a conformal prediction set with this coverage, such as 0.95, instead of the top
    /// classes; the model's card must have a calibration
    #[arg(long, value_name = "SHARE", conflicts_with = "top_k")]
    coverage: Option<f64>,

    /// Abstain if the prediction set has more classes than this
    #[arg(long, value_name = "N", requires = "coverage", value_parser = clap::value_parser!(u16).range(1..))]
    max_set: Option<u16>,

    /// Also sum the probabilities over WordNet's wider classes; needs the classes of ImageNet-1k
    #[arg(long, value_enum, value_name = "BY")]
    rollup: Option<RollUpChoice>,

    /// The probability that each class of the roll-up reaches, more than 0 and at most 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, requires = "rollup", value_parser = share)]
    share: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RollUpChoice {
    /// Sum over the hypernyms of each class
    #[value(name = "wordnet")]
    WordNet,
}

impl PostprocessArgs {
    /// Whether any addition is requested.
    pub(super) fn is_any(&self) -> bool {
        self.coverage.is_some() || self.rollup.is_some()
    }

    /// What to show: a prediction set if one is requested, else `otherwise`; and the roll-up if it is requested. An error
    /// if the model does not support them.
    pub(super) fn check(
        &self,
        pipeline: &Pipeline,
        otherwise: Selection,
    ) -> Result<PostprocessOptions> {
        let max_set = self.max_set.map(usize::from);
        let selection = match self.coverage {
            None => otherwise,
            Some(asked) => Selection::Set(SetRequest::new(pipeline.card(), asked, max_set)?),
        };
        let share = match self.rollup {
            None => None,
            Some(RollUpChoice::WordNet) => pipeline.taxonomy().map(|_| Some(self.share))?,
        };
        Ok(PostprocessOptions { selection, share })
    }
}

fn share(typed: &str) -> Result<f64, String> {
    match typed.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("it must be more than 0 and at most 1".to_owned()),
    }
}

/// A line about the prediction set, if one was requested.
pub(super) fn coverage(postprocessed: &Postprocessed) -> Option<String> {
    let percent = postprocessed.coverage?.promised * 100.0;
    Some(match postprocessed.abstained {
        Some(true) => {
            format!(
                "abstained: the prediction set at {percent} % coverage has more classes than --max-set"
            )
        }
        Some(false) | None => format!("prediction set at {percent} % coverage"),
    })
}

/// The entries of the roll-up, if one was requested.
pub(super) fn wider(postprocessed: &Postprocessed) -> impl Iterator<Item = &RollUpEntry> {
    postprocessed.rollup.iter().flat_map(|rolled| &rolled.path)
}
