//! Combines the results of a request's images into one response.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::problem::Problem;
use super::query::SaturatingCount;
use super::upload::FormFile;
use crate::pipeline::queue::RequestContext;
use crate::pipeline::{ClassifyError, Timings};

/// Time limit of the client in milliseconds; it can only shorten the server's.
const TIMEOUT_HEADER: &str = "x-request-timeout-ms";

/// Times of the request's images; an extension of the response, for the log line.
#[derive(Debug, Clone)]
pub(super) struct RequestTimings(pub(super) Arc<[Timings]>);

/// An answer in JSON.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Answer<'a, T> {
    Single(Single<'a, T>),
    Several(Several<'a, T>),
}

/// The answer for a request with one image.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Single<'a, T> {
    /// The model's name.
    model: &'a str,
    /// The requested model, if another one answered because of overload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    instead_of: Option<&'a str>,
    #[serde(flatten)]
    image: T,
}

/// The answer for a form with several images.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Several<'a, T> {
    /// The model's name.
    model: &'a str,
    /// The requested model, if another one answered because of overload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    instead_of: Option<&'a str>,
    /// One result for each file, in order.
    results: Vec<InPlace<T>>,
}

/// The result for one file of several.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum InPlace<T> {
    Answered(FileAnswer<T>),
    Failed(FileProblem),
}

/// The answer for one file of several.
#[derive(Debug, Serialize, ToSchema)]
struct FileAnswer<T> {
    /// The file's name, if the form has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(flatten)]
    image: T,
}

/// The problem of one file of several.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FileProblem {
    /// The file's name, if the form has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(flatten)]
    problem: Problem,
}

/// The answer for a request with one image.
pub(super) fn one<T: Serialize>(app: &App, image: T, timings: Timings) -> Response {
    let body = Json(Answer::Single(Single {
        model: app.model.name(),
        instead_of: app.instead_of.as_deref(),
        image,
    }));
    with_timing(body.into_response(), &[timings])
}

/// Applies `each` to every file, and returns the results in order. The number of files in flight is limited,
/// so that one request does not fill the queue.
pub(super) async fn of_each<T, F>(
    app: &App,
    parts: Vec<FormFile>,
    each: impl Fn(Bytes) -> F,
    context: &RequestContext,
) -> Vec<(Option<String>, Result<(T, Timings), ClassifyError>)>
where
    F: Future<Output = Result<(T, Timings), ClassifyError>>,
{
    stream::iter(parts)
        .map(|part| {
            let answer = each(part.bytes);
            async move { (part.name, answer.await) }
        })
        .buffered(context.at_once(app.model.pipeline.at_once()))
        .collect()
        .await
}

/// Answers a form. A file that fails has a problem in its place.
pub(super) async fn several<T: Serialize, F>(
    app: &App,
    parts: Vec<FormFile>,
    each: impl Fn(Bytes) -> F,
    context: &RequestContext,
) -> Response
where
    F: Future<Output = Result<(T, Timings), ClassifyError>>,
{
    let answers = of_each(app, parts, each, context).await;
    let mut timings = Vec::with_capacity(answers.len());
    let results: Vec<_> = answers
        .into_iter()
        .map(|(name, answer)| match answer {
            Ok((image, spent)) => {
                timings.push(spent);
                InPlace::Answered(FileAnswer { name, image })
            }
            Err(error) => {
                let problem = Problem::from(error);
                if let Some(cause) = problem.cause() {
                    let id = &context.origin.request_id;
                    tracing::error!(request.id = %id, cause, "an image of a form failed with an internal error");
                }
                InPlace::Failed(FileProblem { name, problem })
            }
        })
        .collect();
    let most_severe = most_severe(&results).cloned();
    let status = most_severe.as_ref().map_or(StatusCode::OK, Problem::status);
    let body = Json(Answer::Several(Several {
        model: app.model.name(),
        instead_of: app.instead_of.as_deref(),
        results,
    }));
    let mut response = (status, body).into_response();
    if let Some(problem) = most_severe {
        problem.mark(&mut response);
    }
    with_timing(response, &timings)
}

/// If all files failed, the problem whose status is that of the whole response, so that load balancers
/// recognise an overloaded server.
fn most_severe<T>(results: &[InPlace<T>]) -> Option<&Problem> {
    let problems: Option<Vec<_>> = results
        .iter()
        .map(|result| match result {
            InPlace::Answered(_) => None,
            InPlace::Failed(failed) => Some(&failed.problem),
        })
        .collect();
    problems?.into_iter().max_by_key(|problem| problem.status())
}

/// The requested state already exists (409).
pub(super) fn conflict(body: serde_json::Value) -> Response {
    (StatusCode::CONFLICT, Json(body)).into_response()
}

/// There is no memory for what was to be loaded (507).
pub(super) fn insufficient_storage(body: serde_json::Value) -> Response {
    (StatusCode::INSUFFICIENT_STORAGE, Json(body)).into_response()
}

/// How long the request may take: the server's limit, or the client's if that is shorter.
pub(super) fn time_limit(headers: &HeaderMap, longest: Duration) -> Result<Duration, Problem> {
    let Some(value) = headers.get(TIMEOUT_HEADER) else { return Ok(longest) };
    let millis = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    match millis {
        Some(SaturatingCount(millis)) if millis > 0 => {
            Ok(longest.min(Duration::from_millis(millis)))
        }
        _ => Err(Problem::invalid_parameter(format!(
            "{TIMEOUT_HEADER} is {value:?}; it takes a whole number of milliseconds, at least 1"
        ))),
    }
}

/// `Server-Timing` (W3C): milliseconds per stage, summed over the request's images.
pub(super) fn with_timing(mut response: Response, timings: &[Timings]) -> Response {
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
    response.extensions_mut().insert(RequestTimings(timings.into()));
    response
}
