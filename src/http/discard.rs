//! Discards the rest of an upload after an early answer. Many clients read the response only after
//! their last byte, so they would see only a closed connection.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::Version;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::body::{Attachment, attach};

/// A client that sends nothing for this long waits for the response, or is gone.
const SILENCE: Duration = Duration::from_secs(1);

/// Time limit for clients that continue to send.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Reads and discards the rest of the body that the handler does not read. Not needed with HTTP/2, where an
/// early answer ends only its stream.
pub(super) fn discard_rest(request: Request) -> Request {
    if request.version() >= Version::HTTP_2 || request.body().is_end_stream() {
        return request;
    }
    request.map(|body| attach(body, DiscardRest))
}

struct DiscardRest;

impl Attachment for DiscardRest {
    fn left(&mut self, mut rest: Body) {
        if rest.is_end_stream() {
            return;
        }
        // Without a runtime, the connection is closed anyway.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(timeout(TIME_LIMIT, async move {
                while let Ok(Some(Ok(_))) = timeout(SILENCE, rest.frame()).await {}
            }));
        }
    }
}
