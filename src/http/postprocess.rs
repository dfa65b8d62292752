//! Reads the parameters for prediction sets and roll-ups.

use super::problem::Problem;
use super::query::once;
use crate::pipeline::Pipeline;
use crate::pipeline::postprocess::PostprocessOptions;
use crate::pipeline::sets::Cover;

/// Default of `share`.
const DEFAULT_SHARE: f64 = 0.5;

/// Reads `pairs`, and checks that the model supports them.
pub(super) fn read(
    pairs: &[(String, String)],
    pipeline: &Pipeline,
) -> Result<PostprocessOptions, Problem> {
    Ok(PostprocessOptions { cover: cover(pairs, pipeline)?, share: share(pairs, pipeline)? })
}

fn cover(pairs: &[(String, String)], pipeline: &Pipeline) -> Result<Option<Cover>, Problem> {
    let max_set = max_set(pairs)?;
    let Some(asked) = number(pairs, "coverage")? else {
        return match max_set {
            None => Ok(None),
            Some(_) => Err(Problem::invalid_parameter(
                "max_set needs coverage; add coverage=0.95 or remove max_set",
            )),
        };
    };
    let cuts = ["top_k", "labels", "threshold"];
    if let Some(cut) = cuts.into_iter().find(|cut| pairs.iter().any(|(name, _)| name == cut)) {
        return Err(Problem::invalid_parameter(format!(
            "{cut} cannot be combined with coverage, because it would remove classes from the prediction set; \
             remove one of the two"
        )));
    }
    Ok(Some(Cover::new(pipeline.card(), asked, max_set)?))
}

fn max_set(pairs: &[(String, String)]) -> Result<Option<usize>, Problem> {
    let Some(typed) = once(pairs, "max_set")? else { return Ok(None) };
    match typed.parse() {
        Ok(most) if most > 0 => Ok(Some(most)),
        _ => Err(Problem::invalid_parameter(format!(
            "max_set is {typed:?}; it takes a whole number of classes, at least 1"
        ))),
    }
}

fn share(pairs: &[(String, String)], pipeline: &Pipeline) -> Result<Option<f64>, Problem> {
    let share = number(pairs, "share")?;
    match once(pairs, "rollup")? {
        Some("wordnet") => {}
        Some(other) => {
            return Err(Problem::invalid_parameter(format!(
                "rollup is {other:?}; it takes wordnet"
            )));
        }
        None if share.is_none() => return Ok(None),
        None => {
            return Err(Problem::invalid_parameter(
                "share needs rollup; add rollup=wordnet or remove share",
            ));
        }
    }
    if pairs.iter().any(|(name, _)| name == "labels") {
        return Err(Problem::invalid_parameter(
            "labels cannot be combined with rollup, which sums over all classes; remove one of the two",
        ));
    }
    pipeline.taxonomy()?;
    let share = share.unwrap_or(DEFAULT_SHARE);
    if share > 0.0 {
        Ok(Some(share))
    } else {
        Err(Problem::invalid_parameter("share is 0; it must be more than 0 and at most 1"))
    }
}

/// Reads a number from 0 to 1.
fn number(pairs: &[(String, String)], name: &str) -> Result<Option<f64>, Problem> {
    let Some(typed) = once(pairs, name)? else { return Ok(None) };
    match typed.parse() {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(Some(number)),
        _ => Err(Problem::invalid_parameter(format!(
            "{name} is {typed:?}; it takes a number from 0 to 1, such as 0.95"
        ))),
    }
}
