//! The trace's id in problem documents.

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use opentelemetry::trace::TraceId;

use super::Problem;

/// The problem of which a response is the document; an extension of the response.
#[derive(Debug, Clone)]
pub(super) struct AnsweredProblem(pub(super) Problem);

/// The same response, with the trace's id in its document if it is one.
pub(in crate::http) fn with_trace(mut response: Response, trace: TraceId) -> Response {
    let Some(AnsweredProblem(mut problem)) = response.extensions_mut().remove() else {
        return response;
    };
    problem.trace_id = Some(trace.to_string());
    let document: Body = Json(&problem).into_response().into_body();
    response.map(|_| document)
}
