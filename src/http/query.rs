//! The query of a request that classifies, checked against the model's classes.

use axum::extract::rejection::QueryRejection;

use super::problem::Problem;
use crate::model::Task;
use crate::pipeline::classes::ClassIndex;
use crate::pipeline::postprocess::Selection;
use crate::pipeline::topk::{self, Narrow};

/// Maximum number of maps in one answer.
const MAX_MAPS: usize = 32;

/// More parts than labels have, on average, where commas separate them: `tench, Tinca tinca`.
const COMMAS_IN_A_LABEL: usize = 4;

/// As many parts of `labels` are read for a model of few classes, too.
const LISTED_ANYWAY: usize = 256;

/// Every parameter of `POST /classify`.
pub(super) const NAMES: &[&str] =
    &["top_k", "labels", "threshold", "explain", "class", "coverage", "max_set", "rollup", "share"];

/// The parameters of `POST /classify`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    /// The classes to map; `None` without `explain`, empty for the most probable class.
    pub(super) explain: Option<Vec<usize>>,
    /// The classes to answer, without a prediction set.
    pub(super) selection: Selection,
}

/// A query as pairs, because a name may be repeated; or axum's error.
pub(super) type Typed = Result<axum::extract::Query<Vec<(String, String)>>, QueryRejection>;

/// The pairs, not parsed yet, so that invalid values get specific messages.
pub(super) fn pairs(typed: Typed) -> Result<Vec<(String, String)>, Problem> {
    typed.map(|axum::extract::Query(pairs)| pairs).map_err(|error| {
        Problem::invalid_parameter(format!("the query cannot be read: {}", error.body_text()))
    })
}

impl Query {
    /// Reads `pairs` for a model with these `classes`.
    pub(super) fn read(
        pairs: &[(String, String)],
        classes: &ClassIndex,
        task: Task,
    ) -> Result<Self, Problem> {
        known(pairs, NAMES)?;
        let top_k = top_k(pairs)?;
        let explain = explain(pairs, classes)?;
        let among = among(pairs, classes)?;
        let threshold = threshold(pairs)?;
        let top_k = top_k.unwrap_or(topk::usual_top_k(task, threshold));
        let selection = if among.is_empty() && threshold.is_none() {
            Selection::Top(top_k)
        } else {
            Selection::Narrowed(Narrow { among, threshold: threshold.unwrap_or(0.0), top_k })
        };
        Ok(Self { explain, selection })
    }
}

/// Checks that every name in `pairs` is one of `names`.
pub(super) fn known(pairs: &[(String, String)], names: &[&str]) -> Result<(), Problem> {
    match pairs.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => Err(Problem::invalid_parameter(format!(
            "unknown parameter {name:?}; known parameters: {}",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        ))),
    }
}

/// The value of `name`, which must not be repeated.
pub(super) fn once<'a>(
    pairs: &'a [(String, String)],
    name: &str,
) -> Result<Option<&'a str>, Problem> {
    let mut values = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| &**value);
    let value = values.next();
    match values.next() {
        None => Ok(value),
        Some(_) => {
            Err(Problem::invalid_parameter(format!("{name} is given more than once; send it once")))
        }
    }
}

/// The value of `top_k`, if there is one.
pub(super) fn top_k(pairs: &[(String, String)]) -> Result<Option<usize>, Problem> {
    let Some(typed) = once(pairs, "top_k")? else { return Ok(None) };
    match typed.parse() {
        Ok(top_k) if top_k > 0 => Ok(Some(top_k)),
        _ => Err(Problem::invalid_parameter(format!(
            "top_k is {typed:?}; it takes a whole number, at least 1"
        ))),
    }
}

fn explain(pairs: &[(String, String)], index: &ClassIndex) -> Result<Option<Vec<usize>>, Problem> {
    let typed = || pairs.iter().filter(|(name, _)| name == "class").map(|(_, typed)| typed);
    let count = typed().count();
    if count > MAX_MAPS {
        return Err(Problem::invalid_parameter(format!(
            "class is given {count} times; the maximum is {MAX_MAPS}"
        )));
    }
    let classes: Vec<usize> = typed().map(|typed| class(typed, index)).collect::<Result<_, _>>()?;
    match once(pairs, "explain")? {
        Some("cam") => Ok(Some(classes)),
        Some(other) => Err(Problem::invalid_parameter(format!(
            "explain is {other:?}; it takes cam, for class activation maps"
        ))),
        None if classes.is_empty() => Ok(None),
        None => Err(Problem::invalid_parameter(
            "class needs explain; add explain=cam or remove class".to_owned(),
        )),
    }
}

/// The classes to which the answer is restricted, each once, in ascending order.
fn among(pairs: &[(String, String)], index: &ClassIndex) -> Result<Vec<usize>, Problem> {
    let mut among: Vec<usize> = Vec::new();
    // Commas are inside labels, too, so this counts at least as many as there are.
    let listed: usize = pairs
        .iter()
        .filter(|(name, _)| name == "labels")
        .map(|(_, typed)| typed.bytes().filter(|&byte| byte == b',').count() + 1)
        .sum();
    let most = (index.count() * COMMAS_IN_A_LABEL).max(LISTED_ANYWAY);
    if listed > most {
        return Err(Problem::bad_request(format!(
            "labels lists {listed} classes, but this model has {}; list each once",
            index.count()
        )));
    }
    for (_, typed) in pairs.iter().filter(|(name, _)| name == "labels") {
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

fn threshold(pairs: &[(String, String)]) -> Result<Option<f32>, Problem> {
    let Some(typed) = once(pairs, "threshold")? else { return Ok(None) };
    match typed.parse() {
        Ok(threshold) if (0.0..=1.0).contains(&threshold) => Ok(Some(threshold)),
        _ => Err(Problem::invalid_parameter(format!(
            "threshold is {typed:?}; it takes a probability from 0 to 1"
        ))),
    }
}

fn class(typed: &str, index: &ClassIndex) -> Result<usize, Problem> {
    index.find(typed).ok_or_else(|| Problem::invalid_parameter(index.no_such_class(typed)))
}
