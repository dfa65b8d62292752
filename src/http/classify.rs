//! `POST /classify`: one image or a form of several.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};

use super::App;
use super::problem::Problem;
use super::upload::{self, Part, Upload};
use crate::pipeline::queue::Deadline;
use crate::pipeline::topk::Prediction;
use crate::pipeline::{Ask, Classification, ClassifyError, ImageFacts, Timings};

/// A client's own time limit in milliseconds; longer than the server's it changes nothing.
const TIMEOUT_HEADER: &str = "x-request-timeout-ms";

/// The query, still as typed: a wrong value is named in our words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    top_k: Option<String>,
}

impl Parameters {
    fn top_k(&self) -> Result<usize, Problem> {
        let Some(typed) = &self.top_k else { return Ok(5) };
        match typed.parse() {
            Ok(top_k) if top_k > 0 => Ok(top_k),
            _ => Err(Problem::invalid_parameter(format!(
                "top_k is {typed:?}; it takes a whole number, at least 1"
            ))),
        }
    }
}

/// The answer for a request with one image.
#[derive(Debug, Serialize)]
struct Single<'a> {
    model: &'a str,
    #[serde(flatten)]
    image: Classified,
}

/// The answer for a form with several.
#[derive(Debug, Serialize)]
struct Several<'a> {
    model: &'a str,
    results: Vec<InPlace>,
}

/// One image of several, in the place of its part.
#[derive(Debug, Serialize)]
struct InPlace {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome {
    Classified(Classified),
    Problem(Problem),
}

#[derive(Debug, Serialize)]
struct Classified {
    predictions: Vec<Prediction>,
    image: ImageFacts,
}

pub(super) async fn classify(
    State(app): State<App>,
    parameters: Result<Query<Parameters>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(parameters) = parameters.map_err(|error| {
        let said = error.body_text();
        let what = said.rsplit(": ").next().unwrap_or_default();
        Problem::invalid_parameter(format!("the query cannot be read: {what}"))
    })?;
    let top_k = parameters.top_k()?;
    let limit = time_limit(request.headers(), app.timeouts.request)?;
    let upload = upload::read(&app, request).await?;
    let ask = Ask { top_k, deadline: Deadline::after(limit) };
    match upload {
        Upload::One(bytes) => single(&app, app.pipeline.classify(bytes, ask).await),
        Upload::Several(parts) => Ok(several(&app, parts, ask).await),
    }
}

fn single(app: &App, answer: Result<Classification, ClassifyError>) -> Result<Response, Problem> {
    let Classification { predictions, image, timings, .. } = answer?;
    let model = &app.pipeline.card().name;
    let body = Json(Single { model, image: Classified { predictions, image } });
    Ok(with_timing(body.into_response(), &[timings]))
}

/// Each image is an entry of its own in the queue; a bad one is answered in its place.
async fn several(app: &App, parts: Vec<Part>, ask: Ask) -> Response {
    // As many at once as can be of use: one request does not fill the queue.
    let at_once = app.pipeline.plan().at_once();
    let answers: Vec<_> = stream::iter(parts)
        .map(|part| async move { (part.name, app.pipeline.classify(part.bytes, ask).await) })
        .buffered(at_once)
        .collect()
        .await;
    let mut timings = Vec::with_capacity(answers.len());
    let results: Vec<_> = answers
        .into_iter()
        .map(|(name, answer)| {
            let outcome = match answer {
                Ok(Classification { predictions, image, timings: spent, .. }) => {
                    timings.push(spent);
                    Outcome::Classified(Classified { predictions, image })
                }
                Err(error) => Outcome::Problem(error.into()),
            };
            InPlace { name, outcome }
        })
        .collect();
    let gravest = gravest(&results).cloned();
    let status = gravest.as_ref().map_or(StatusCode::OK, Problem::status);
    let body = Json(Several { model: &app.pipeline.card().name, results });
    let mut response = (status, body).into_response();
    if let Some(problem) = gravest {
        problem.mark(&mut response);
    }
    with_timing(response, &timings)
}

/// Where no image was classified, the problem whose status the whole answer has, so that a
/// balancer sees an overloaded server as one.
fn gravest(results: &[InPlace]) -> Option<&Problem> {
    let problems: Option<Vec<_>> = results
        .iter()
        .map(|result| match &result.outcome {
            Outcome::Classified(_) => None,
            Outcome::Problem(problem) => Some(problem),
        })
        .collect();
    problems?.into_iter().max_by_key(|problem| problem.status())
}

fn time_limit(headers: &HeaderMap, longest: Duration) -> Result<Duration, Problem> {
    let Some(value) = headers.get(TIMEOUT_HEADER) else { return Ok(longest) };
    let millis = value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok());
    match millis {
        Some(millis) if millis > 0 => Ok(longest.min(Duration::from_millis(millis))),
        _ => Err(Problem::invalid_parameter(format!(
            "{TIMEOUT_HEADER} is {value:?}; it takes a whole number of milliseconds, at least 1"
        ))),
    }
}

/// `Server-Timing` (W3C): milliseconds per stage, summed over the request's images.
fn with_timing(mut response: Response, timings: &[Timings]) -> Response {
    let sum = |stage: fn(&Timings) -> Duration| {
        timings.iter().map(stage).sum::<Duration>().as_secs_f64() * 1e3
    };
    let value = format!(
        "decode-wait;dur={:.3}, decode;dur={:.3}, preprocess;dur={:.3}, queue;dur={:.3}, inference;dur={:.3}",
        sum(|t| t.decode_wait),
        sum(|t| t.decode),
        sum(|t| t.preprocess),
        sum(|t| t.queue),
        sum(|t| t.inference),
    );
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert("server-timing", value);
    }
    response
}
