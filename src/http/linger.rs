//! A client that is answered before its upload is over may still be sending, and many look for an answer
//! only after their last byte. A connection that is closed before is all that they would see of it.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::Version;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::body::{Companion, accompanied};

/// A client that sends nothing for so long waits for us, or is gone.
const SILENCE: Duration = Duration::from_secs(1);

/// However much it sends: then it has to see what it sees.
const MOST: Duration = Duration::from_secs(10);

/// The request with a body that is read to its end and thrown away where its handler does not want it.
/// Over HTTP/2 an answer ends one stream, and a client is told so.
pub(super) fn lingering(request: Request) -> Request {
    if request.version() >= Version::HTTP_2 || request.body().is_end_stream() {
        return request;
    }
    request.map(|body| accompanied(body, Lingering))
}

struct Lingering;

impl Companion for Lingering {
    fn left(&mut self, mut rest: Body) {
        if rest.is_end_stream() {
            return;
        }
        // Without a runtime there is no connection either.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(timeout(MOST, async move {
                while let Ok(Some(Ok(_))) = timeout(SILENCE, rest.frame()).await {}
            }));
        }
    }
}
