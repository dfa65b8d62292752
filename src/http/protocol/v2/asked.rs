//! An inference request, before and after validation.

use std::borrow::Cow;
use std::time::Duration;

use super::images;
use super::parameters::Parameters;
use super::served::Output;
use super::tensor::Tensor;
use crate::http::App;
use crate::http::problem::{Problem, excerpt};
use crate::pipeline::Source;

/// The longest id of a request, in characters.
const LONGEST_ID: usize = 200;

/// A request as it was written, in either encoding.
#[derive(Debug)]
pub(super) struct Asked {
    /// Given back with the answer.
    pub(super) id: Option<String>,
    pub(super) inputs: Vec<Tensor>,
    /// Empty for the usual ones.
    pub(super) outputs: Vec<(String, Parameters)>,
    pub(super) time_limit: Option<Duration>,
}

/// A request that can be run.
#[derive(Debug)]
pub(super) struct Infer {
    pub(super) id: Option<String>,
    pub(super) images: Vec<Source>,
    pub(super) outputs: Vec<Wanted>,
    pub(super) time_limit: Option<Duration>,
}

/// One output, and the form that it is wanted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) output: Output,
    pub(super) form: Form,
}

/// What is answered of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// All of it, FP32.
    Values,
    /// So many of the best classes, BYTES.
    Classes(usize),
}

impl Infer {
    /// Checks everything; the data are looked at, so this is work for a thread that may take long.
    pub(super) fn read(app: &App, asked: Asked) -> Result<Self, Problem> {
        let Asked { id, inputs, outputs, time_limit } = asked;
        let outputs = wanted(app, &outputs)?;
        let images = images::of(app, inputs)?;
        Ok(Self { id, images, outputs, time_limit })
    }
}

/// A tensor's name, cut where it is longer than any that is known: it is only compared and repeated.
pub(super) fn known_name(name: String) -> String {
    match excerpt(&name) {
        Cow::Borrowed(_) => name,
        Cow::Owned(cut) => cut,
    }
}

/// A request's id, which is answered as it came and therefore has to be short.
pub(super) fn checked_id(id: Option<String>) -> Result<Option<String>, Problem> {
    match id {
        Some(id) if id.chars().nth(LONGEST_ID).is_some() => {
            Err(Problem::invalid_parameter(format!(
                "the id {:?} has more than {LONGEST_ID} characters; send a shorter one, or none",
                excerpt(&id)
            )))
        }
        id => Ok(id),
    }
}

fn wanted(app: &App, asked: &[(String, Parameters)]) -> Result<Vec<Wanted>, Problem> {
    if asked.is_empty() {
        let usual = |output| Wanted { output, form: Form::Values };
        return Ok([Output::Probabilities, Output::Logits].map(usual).to_vec());
    }
    let mut outputs: Vec<Wanted> = Vec::new();
    for (name, parameters) in asked {
        let what = format!("output {name:?}");
        let Some(output) = Output::given(app).find(|output| output.name() == name) else {
            let given: Vec<_> = Output::given(app).map(Output::name).collect();
            let detail = format!("there is no {what}; this model gives {}", given.join(", "));
            return Err(Problem::invalid_parameter(detail));
        };
        if outputs.iter().any(|wanted| wanted.output == output) {
            let detail = format!("{what} is asked for twice; ask for it once");
            return Err(Problem::invalid_parameter(detail));
        }
        parameters.refuse_shared_memory(&what)?;
        outputs.push(Wanted { output, form: form(output, parameters)? });
    }
    Ok(outputs)
}

fn form(output: Output, parameters: &Parameters) -> Result<Form, Problem> {
    match (parameters.classification, output) {
        (None, _) => Ok(Form::Values),
        (Some(_), Output::Embedding) => Err(Problem::invalid_parameter(
            "an embedding has no classes; ask for the classification of probabilities or logits",
        )),
        (Some(0), _) => Err(Problem::invalid_parameter(
            "classification is 0; it is how many classes to answer, at least 1",
        )),
        (Some(classes), Output::Probabilities | Output::Logits) => {
            Ok(Form::Classes(usize::try_from(classes).unwrap_or(usize::MAX)))
        }
    }
}
