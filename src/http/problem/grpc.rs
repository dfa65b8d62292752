//! Problems as gRPC statuses: the only mapping from kinds to codes.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{Kind, Problem};

/// The domain of an `ErrorInfo`.
const DOMAIN: &str = "resnetd";
/// The header with the delay before a retry, for clients with automatic retries.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The status of `problem`, with its reason as `ErrorInfo` and the delay before a retry, if there is one, as
/// `RetryInfo`.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` is given")]
pub(in crate::http) fn of(problem: Problem) -> Status {
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
        | Kind::InvalidParameter | Kind::NotOffered
        | Kind::ChangeFailed                               => Code::InvalidArgument,
        Kind::Unauthenticated                              => Code::Unauthenticated,
        Kind::NotAnAdmin | Kind::UrlNotAllowed             => Code::PermissionDenied,
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

/// Whether `headers` are those of a gRPC request or response.
pub(in crate::http) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// The response with `problem` to a request with these headers that was rejected before it was routed: a status for
/// a gRPC request, otherwise a problem document.
pub(in crate::http) fn response(problem: Problem, headers: &HeaderMap) -> Response {
    if !is_grpc(headers) {
        return problem.into_response();
    }
    let mut response = of(problem.clone()).into_http();
    mark(problem, &mut response);
    response
}

/// Adds the facts of `problem` for the log line. The delay before a retry is in the status's details.
fn mark(problem: Problem, response: &mut Response) {
    problem.mark(response);
    response.headers_mut().remove(header::RETRY_AFTER);
}

/// Marks every response that is a problem for the log line and the metrics, because its HTTP status is 200.
pub(in crate::http) async fn mark_problems(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let Some(status) = response.extensions().get::<Status>() else { return response };
    let Some(problem) = problem(status) else { return response };
    // tonic's own messages may repeat parts of the request of any length; those of problems are limited.
    if problem.detail() != status.message() {
        response = Status::new(status.code(), problem.detail()).into_http();
    }
    mark(problem, &mut response);
    response
}

/// The problem that corresponds to `status`. Statuses of tonic itself have no reason.
fn problem(status: &Status) -> Option<Problem> {
    let ours = status.get_details_error_info().and_then(|info| Kind::named(&info.reason));
    let unknown = status.code() == Code::Unimplemented;
    let usual = if unknown { Kind::MethodNotAllowed } else { Kind::BadRequest };
    let problem = Problem::with_detail(ours.unwrap_or(usual), status.message());
    Some(problem).filter(|_| status.code() != Code::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Problems that no call gets: images are not fetched by URL, and connections are rejected before they are known to be
    /// gRPC.
    const OVER_HTTP_ONLY: [Kind; 4] =
        [Kind::UrlNotAllowed, Kind::UrlFailed, Kind::UrlTimeout, Kind::TooManyConnections];

    #[test]
    fn the_documentation_lists_every_reason_under_its_code() {
        let page = include_str!("../../../docs/protocols.md");
        for kind in Kind::ALL.iter().filter(|kind| !OVER_HTTP_ONLY.contains(kind)) {
            let (_, reason, _) = kind.row();
            let code = in_capitals(&format!("{:?}", code(*kind)));
            let row = page.lines().find(|line| line.starts_with(&format!("| `{code}` |")));
            let is_listed = row.is_some_and(|row| row.contains(&format!("`{reason}`")));
            assert!(is_listed, "docs/protocols.md does not list {reason} under {code}");
        }
    }

    /// `InvalidArgument` as `INVALID_ARGUMENT`.
    fn in_capitals(name: &str) -> String {
        let word =
            |letter: char| letter.is_ascii_uppercase().then_some('_').into_iter().chain([letter]);
        let words: String = name.chars().flat_map(word).collect();
        words.trim_start_matches('_').to_ascii_uppercase()
    }
}
