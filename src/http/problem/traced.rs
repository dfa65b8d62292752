//! Adds the trace's id to problem documents.

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use opentelemetry::trace::TraceId;

use super::Problem;

/// The problem whose document is the response's body; an extension of the response.
#[derive(Debug, Clone)]
pub(super) struct AnsweredProblem(pub(super) Problem);

/// Adds the trace's id if the response is a problem document.
pub(in crate::http) fn with_trace(mut response: Response, trace: TraceId) -> Response {
    let Some(AnsweredProblem(mut problem)) = response.extensions_mut().remove() else {
        return response;
    };
    problem.trace_id = Some(trace.to_string());
    let document: Body = Json(&problem).into_response().into_body();
    response.map(|_| document)
}
