//! Replaces hyper's empty answers to invalid HTTP by problem documents.

use axum::http::StatusCode;

use crate::http::problem::Problem;

/// The document that replaces `head`, if that is hyper's own answer: all other answers have a
/// request id.
pub(super) fn replacement(head: &[u8]) -> Option<Vec<u8>> {
    if !head.starts_with(b"HTTP/1.") || head.get(9) != Some(&b'4') || !head.ends_with(b"\r\n\r\n") {
        return None;
    }
    let text = std::str::from_utf8(head).ok()?.to_ascii_lowercase();
    if text.contains("\r\nx-request-id:") || !text.contains("\r\ncontent-length: 0\r\n") {
        return None;
    }
    let problem = match text.get(9..12)? {
        "400" => Problem::bad_request(
            "this is not an HTTP/1.1 or HTTP/2 request; check the client, and whether the URL begins with http:// or https://",
        ),
        "414" | "431" => Problem::headers_too_large(),
        _ => return None,
    };
    tracing::info!(
        http.status = problem.status().as_u16(),
        reason = problem.kind().row().1,
        "rejected"
    );
    Some(document(&problem))
}

/// An HTTP/1.1 response after which the connection is closed.
pub(in super::super) fn document(problem: &Problem) -> Vec<u8> {
    let status: StatusCode = problem.status();
    let body = serde_json::to_string(problem).unwrap_or_default();
    let retry = match problem.retry_after_seconds() {
        Some(seconds) => format!("retry-after: {seconds}\r\n"),
        None => String::new(),
    };
    let reason = status.canonical_reason().unwrap_or_default();
    format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/problem+json\r\nx-content-type-options: nosniff\r\n{retry}\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        status.as_u16(),
        body.len()
    )
    .into_bytes()
}
