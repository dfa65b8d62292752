//! What `resnetd classify` can be asked beside the classes, as `POST /classify` can.

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::output;
use crate::pipeline::Pipeline;
use crate::pipeline::beside::{Beside, Told};
use crate::pipeline::sets::Cover;

#[derive(Debug, Args)]
pub(super) struct BesideArgs {
    /// Show the smallest set of classes that holds the truth for this share of pictures, such as
    /// 0.95, in the place of the best few; the model's card must have a calibration
    #[arg(long, value_name = "SHARE", conflicts_with = "top_k")]
    coverage: Option<f64>,

    /// Say so where that set has more classes than this
    #[arg(long, value_name = "N", requires = "coverage", value_parser = clap::value_parser!(u16).range(1..))]
    max_set: Option<u16>,

    /// Also show what the classes have in common; needs the classes of ImageNet-1k
    #[arg(long, value_enum, value_name = "BY")]
    rollup: Option<RollUpBy>,

    /// What the roll-up's probability reaches, more than 0
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, requires = "rollup", value_parser = share)]
    share: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RollUpBy {
    /// By the hypernyms of each class
    #[value(name = "wordnet")]
    WordNet,
}

impl BesideArgs {
    /// What is asked, if the model can tell it.
    pub(super) fn check(&self, pipeline: &Pipeline) -> Result<Beside> {
        let max_set = self.max_set.map(usize::from);
        let cover = self.coverage.map(|asked| Cover::new(pipeline.card(), asked, max_set));
        let share = match self.rollup {
            None => None,
            Some(RollUpBy::WordNet) => pipeline.taxonomy().map(|_| Some(self.share))?,
        };
        Ok(Beside { cover: cover.transpose()?, share })
    }
}

fn share(typed: &str) -> Result<f64, String> {
    match typed.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("it takes more than 0, and at most 1".to_owned()),
    }
}

/// Prints it below a picture's classes.
pub(super) fn show(told: &Told) {
    if let Some(coverage) = told.coverage {
        let promised = coverage.promised * 100.0;
        output::line(match told.abstained {
            Some(true) => {
                format!("undecided: more classes than --max-set may be the truth ({promised} %)")
            }
            Some(false) | None => format!("one of these, for {promised} % of such pictures"),
        });
    }
    for rung in told.rollup.iter().flat_map(|rolled| &rolled.path) {
        let percent = rung.probability * 100.0;
        output::line(format!("{percent:6.2} %  {} ({} classes)", rung.label, rung.classes));
    }
}
