//! Problems as gRPC's statuses: the one map from kinds to codes.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::http::problem::{Kind, Problem};

/// Where the reasons are from: the domain of an `ErrorInfo`.
const DOMAIN: &str = "resnetd";
/// How long to wait before a retry, for clients that retry by themselves.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The status of `problem`, with its reason as `ErrorInfo` and, where it helps to come back, when
/// as `RetryInfo`.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` is given")]
pub(super) fn of(problem: Problem) -> Status {
    let (_, reason, _) = problem.kind().row();
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, std::collections::HashMap::new());
    let retry_after = problem.retry_after_seconds();
    if let Some(seconds) = retry_after {
        details.set_retry_info(Some(Duration::from_secs(seconds)));
    }
    let mut status = Status::with_error_details(code(problem.kind()), problem.detail(), details);
    if let Some(seconds) = retry_after {
        status.metadata_mut().insert(PUSHBACK, MetadataValue::from(seconds * 1000));
    }
    status
}

#[rustfmt::skip] // columns stay columns
fn code(kind: Kind) -> Code {
    match kind {
        Kind::NotAnImage | Kind::TruncatedImage | Kind::CorruptImage
        | Kind::UnsupportedFormat | Kind::UnsupportedEncoding
        | Kind::HostNotAllowed | Kind::HeadersTooLarge | Kind::BadRequest
        | Kind::InvalidParameter | Kind::NotOffered        => Code::InvalidArgument,
        Kind::Unauthenticated                              => Code::Unauthenticated,
        Kind::UrlNotAllowed                                => Code::PermissionDenied,
        Kind::UrlFailed | Kind::UrlTimeout                 => Code::FailedPrecondition,
        Kind::NotFound                                     => Code::NotFound,
        Kind::MethodNotAllowed                             => Code::Unimplemented,
        Kind::TooManyBytes | Kind::TooManyPixels
        | Kind::TooManyRequests | Kind::ClientLimit        => Code::ResourceExhausted,
        Kind::BodyTimeout | Kind::Deadline                 => Code::DeadlineExceeded,
        Kind::QueueFull | Kind::MemoryLimit | Kind::TooManyConnections
        | Kind::Draining | Kind::NotReady                  => Code::Unavailable,
        Kind::InferenceFailed | Kind::Internal             => Code::Internal,
    }
}

/// The answer for a request that no service has seen.
pub(super) fn refusal(problem: Problem) -> Response {
    let mut response = of(problem.clone()).into_http();
    mark(problem, &mut response);
    response
}

/// Adds the facts of `problem` for the log line. When to come back is among the status's own details.
fn mark(problem: Problem, response: &mut Response) {
    problem.mark(response);
    response.headers_mut().remove(axum::http::header::RETRY_AFTER);
}

/// Leaves on every answer that is a problem what the log line and the metrics need: for HTTP each of
/// them is a 200.
pub(super) async fn tell(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let Some(status) = response.extensions().get::<Status>() else { return response };
    let Some(problem) = problem(status) else { return response };
    // tonic's own messages may repeat any length of the request; the problem's are limited.
    if problem.detail() != status.message() {
        response = Status::new(status.code(), problem.detail()).into_http();
    }
    mark(problem, &mut response);
    response
}

/// The problem that `status` is of. Those that tonic makes itself have no reason of ours.
fn problem(status: &Status) -> Option<Problem> {
    let ours = status.get_details_error_info().and_then(|info| Kind::named(&info.reason));
    let unknown = status.code() == Code::Unimplemented;
    let usual = if unknown { Kind::MethodNotAllowed } else { Kind::BadRequest };
    let told = Problem::told(ours.unwrap_or(usual), status.message());
    Some(told).filter(|_| status.code() != Code::Ok)
}
