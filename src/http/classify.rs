//! `POST /classify`: one image or a form of several.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use serde::Serialize;

use super::problem::Problem;
use super::query::{self, Query};
use super::upload::{self, Part, Upload};
use super::{App, accept};
use crate::pipeline::explain::Explanation;
use crate::pipeline::queue::Deadline;
use crate::pipeline::topk::Prediction;
use crate::pipeline::{Ask, Classification, ClassifyError, ImageFacts, Timings};

/// A client's own time limit in milliseconds; longer than the server's it changes nothing.
const TIMEOUT_HEADER: &str = "x-request-timeout-ms";

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
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

pub(super) async fn classify(
    State(app): State<App>,
    pairs: query::Typed,
    request: Request,
) -> Result<Response, Problem> {
    let query = Query::read(&query::pairs(pairs)?, &app.pipeline.card().labels)?;
    let form = Form::of(&query, request.headers())?;
    let limit = time_limit(request.headers(), app.timeouts.request)?;
    let upload = upload::read(&app, request).await?;
    let deadline = Deadline::after(limit);
    match (upload, form) {
        (Upload::One(bytes), Form::Json) => single(&app, bytes, &query, deadline).await,
        (Upload::One(bytes), Form::Overlay) => overlay(&app, bytes, &query, deadline).await,
        (Upload::Several(parts), Form::Json) => Ok(several(&app, parts, &query, deadline).await),
        (Upload::Several(_), Form::Overlay) => Err(Problem::invalid_parameter(
            "an overlay shows one image; send one file, or ask for application/json",
        )),
    }
}

/// What an answer is made of.
#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Overlay,
}

impl Form {
    fn of(query: &Query, headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(classes) = &query.explain else { return Ok(Self::Json) };
        if accept::best(headers, &["application/json", "image/png"]) == "application/json" {
            Ok(Self::Json)
        } else if classes.len() > 1 {
            Err(Problem::invalid_parameter(
                "an overlay shows one class; name one, or ask for application/json",
            ))
        } else {
            Ok(Self::Overlay)
        }
    }
}

/// Classifies one image, and explains it where that is asked.
async fn answer(
    app: &App,
    bytes: Bytes,
    query: &Query,
    deadline: Deadline,
) -> Result<(Classified, Timings), ClassifyError> {
    let ask = Ask { top_k: query.top_k, deadline };
    let (classification, explanation) = match &query.explain {
        None => (app.pipeline.classify(bytes, ask).await?, None),
        Some(classes) => {
            let explained = app.pipeline.explain(bytes, ask, classes).await?;
            (explained.classification, Some(explained.explanation))
        }
    };
    let Classification { predictions, image, timings, .. } = classification;
    Ok((Classified { predictions, image, explanation }, timings))
}

async fn single(
    app: &App,
    bytes: Bytes,
    query: &Query,
    deadline: Deadline,
) -> Result<Response, Problem> {
    let (image, timings) = answer(app, bytes, query, deadline).await?;
    let body = Json(Single { model: &app.pipeline.card().name, image });
    let mut response = with_timing(body.into_response(), &[timings]);
    if query.explain.is_some() {
        accept::vary(&mut response);
    }
    Ok(response)
}

/// The photo with the map of one class over it.
async fn overlay(
    app: &App,
    bytes: Bytes,
    query: &Query,
    deadline: Deadline,
) -> Result<Response, Problem> {
    let (image, timings) = answer(app, bytes.clone(), query, deadline).await?;
    let Some(explanation) = image.explanation else { return Err(Problem::internal()) };
    let png = app.pipeline.overlay(bytes, explanation, deadline).await?;
    let mut response = ([(header::CONTENT_TYPE, "image/png")], png).into_response();
    accept::vary(&mut response);
    Ok(with_timing(response, &[timings]))
}

/// Each image is an entry of its own in the queue; a bad one is answered in its place.
async fn several(app: &App, parts: Vec<Part>, query: &Query, deadline: Deadline) -> Response {
    // As many at once as can be of use: one request does not fill the queue.
    let at_once = app.pipeline.plan().at_once();
    let answers: Vec<_> = stream::iter(parts)
        .map(|part| async move { (part.name, answer(app, part.bytes, query, deadline).await) })
        .buffered(at_once)
        .collect()
        .await;
    let mut timings = Vec::with_capacity(answers.len());
    let results: Vec<_> = answers
        .into_iter()
        .map(|(name, answer)| {
            let outcome = match answer {
                Ok((classified, spent)) => {
                    timings.push(spent);
                    Outcome::Classified(classified)
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
    if query.explain.is_some() {
        accept::vary(&mut response);
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
