//! An inference request, before and after validation.

use std::borrow::Cow;
use std::time::Duration;

use super::images;
use super::parameters::V2Parameters;
use super::signature::NamedOutput;
use super::tensor::{Datatype, InferTensor};
use crate::http::App;
use crate::http::problem::{Problem, excerpt};
use crate::pipeline::InputImage;

/// Maximum length of a request's id, in characters.
const LONGEST_ID: usize = 200;

/// A request before validation, from either encoding.
#[derive(Debug)]
pub(super) struct UncheckedRequest {
    /// Repeated in the answer.
    pub(super) id: Option<String>,
    pub(super) inputs: Vec<InferTensor>,
    /// Empty for the default outputs.
    pub(super) outputs: Vec<(String, V2Parameters)>,
    pub(super) time_limit: Option<Duration>,
}

impl UncheckedRequest {
    /// Number of bytes that [`InferRequest::read`] converts one by one; others are only sliced.
    pub(super) fn bytes_to_convert(&self) -> usize {
        let floats = self.inputs.iter().filter(|tensor| tensor.datatype == Datatype::Fp32);
        floats.map(|tensor| tensor.data.len()).sum()
    }
}

/// A validated request.
#[derive(Debug)]
pub(super) struct InferRequest {
    pub(super) id: Option<String>,
    pub(super) images: Vec<InputImage>,
    pub(super) outputs: Vec<RequestedOutput>,
    pub(super) time_limit: Option<Duration>,
}

/// A requested output and its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestedOutput {
    pub(super) output: NamedOutput,
    pub(super) form: OutputContent,
}

/// The content of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputContent {
    /// All values, FP32.
    Values,
    /// This many of the best classes, BYTES.
    Classes(usize),
}

impl InferRequest {
    /// Validates the request. This converts FP32 data one by one, so call it in [`Shared::parse`](crate::http::Shared).
    pub(super) fn read(app: &App, asked: UncheckedRequest) -> Result<Self, Problem> {
        let UncheckedRequest { id, inputs, outputs, time_limit } = asked;
        let outputs = wanted(app, &outputs)?;
        let images = images::of(app, inputs)?;
        Ok(Self { id, images, outputs, time_limit })
    }
}

/// A tensor's name, shortened if it is longer than all known names: it is only compared, and repeated in
/// errors.
pub(super) fn known_name(name: String) -> String {
    match excerpt(&name) {
        Cow::Borrowed(_) => name,
        Cow::Owned(cut) => cut,
    }
}

/// Checks the length of a request's id, which is repeated in the answer.
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

fn wanted(app: &App, asked: &[(String, V2Parameters)]) -> Result<Vec<RequestedOutput>, Problem> {
    if asked.is_empty() {
        let usual = |output| RequestedOutput { output, form: OutputContent::Values };
        return Ok([NamedOutput::Probabilities, NamedOutput::Logits].map(usual).to_vec());
    }
    let mut outputs: Vec<RequestedOutput> = Vec::new();
    for (name, parameters) in asked {
        let what = format!("output {name:?}");
        let Some(output) = NamedOutput::given(app).find(|output| output.name() == name) else {
            let given: Vec<_> = NamedOutput::given(app).map(NamedOutput::name).collect();
            let detail = format!("there is no {what}; this model gives {}", given.join(", "));
            return Err(Problem::invalid_parameter(detail));
        };
        if outputs.iter().any(|wanted| wanted.output == output) {
            let detail = format!("{what} is requested twice; request it once");
            return Err(Problem::invalid_parameter(detail));
        }
        parameters.refuse_shared_memory(&what)?;
        outputs.push(RequestedOutput { output, form: form(output, parameters)? });
    }
    Ok(outputs)
}

fn form(output: NamedOutput, parameters: &V2Parameters) -> Result<OutputContent, Problem> {
    match (parameters.classification, output) {
        (None, _) => Ok(OutputContent::Values),
        (Some(_), NamedOutput::Embedding) => Err(Problem::invalid_parameter(
            "an embedding has no classes; ask for the classification of probabilities or logits",
        )),
        (Some(0), _) => Err(Problem::invalid_parameter(
            "classification is 0; it is how many classes to answer, at least 1",
        )),
        (Some(classes), NamedOutput::Probabilities | NamedOutput::Logits) => {
            Ok(OutputContent::Classes(usize::try_from(classes).unwrap_or(usize::MAX)))
        }
    }
}
