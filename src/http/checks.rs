//! Checks every request before its handler: the host must be allowed, and the headers must not be too large.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Version, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Server;
use super::header_limits::{MAX_FIELDS, MAX_HEADERS};
use super::problem::{Problem, grpc};

/// Size of headers from which they count under `--memory-limit` while their request is open.
const CHARGED: usize = 4096;

/// Passes valid requests on.
pub(super) async fn check_request(
    State(server): State<Arc<Server>>,
    request: Request,
    next: Next,
) -> Response {
    let size = size(&request);
    if let Err(problem) = check(&server, &request, size) {
        return grpc::response(problem, request.headers());
    }
    if size < CHARGED {
        return next.run(request).await;
    }
    match server.reserve(size) {
        Err(rejected) => grpc::response(rejected.into(), request.headers()),
        Ok(_held) => next.run(request).await,
    }
}

fn check(server: &Server, request: &Request, size: usize) -> Result<(), Problem> {
    if size > MAX_HEADERS || request.headers().len() > MAX_FIELDS {
        return Err(Problem::headers_too_large());
    }
    let named = request.headers().get_all(header::HOST).iter().count();
    if request.version() == Version::HTTP_11 && named != 1 {
        let detail = format!("the request has {named} Host headers; HTTP/1.1 requires exactly one");
        return Err(Problem::bad_request(detail));
    }
    if server.hosts.is_any() {
        return Ok(());
    }
    // A request without a host (HTTP/1.0) is not from a browser.
    match authority(request) {
        Some(host) if !server.hosts.allow(&host) => Err(Problem::host_not_allowed(&host)),
        Some(_) | None => Ok(()),
    }
}

/// Host of the request; the request line takes precedence over the header.
fn authority(request: &Request) -> Option<String> {
    let line = request.uri().authority().map(ToString::to_string);
    line.or_else(|| {
        let header = request.headers().get(header::HOST)?;
        Some(String::from_utf8_lossy(header.as_bytes()).into_owned())
    })
}

/// Size of the request line and headers in HTTP/1.1, in bytes.
fn size(request: &Request) -> usize {
    let line = request.uri().path_and_query().map_or(1, |path| path.as_str().len());
    line + request.method().as_str().len() + fields(request.headers())
}

fn fields(headers: &HeaderMap) -> usize {
    const AROUND: usize = ": \r\n".len();
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + AROUND).sum()
}
