//! Discards the rest of an upload after an early answer. Many clients read the response only after
//! their last byte, so they would see only a closed connection.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::Version;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::time::timeout;

/// A client that sends nothing for this long is waiting for the response, or is gone.
const SILENCE: Duration = Duration::from_secs(1);

/// The limit for clients that keep sending.
const MOST: Duration = Duration::from_secs(10);

/// The request, with a body whose rest is read and discarded if the handler does not read it. Over
/// HTTP/2 an answer ends only its stream, which the protocol signals to the client.
pub(super) fn lingering(request: Request) -> Request {
    if request.version() >= Version::HTTP_2 || request.body().is_end_stream() {
        return request;
    }
    request.map(|body| Body::new(Lingering(body)))
}

struct Lingering(Body);

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.0.is_end_stream() {
            return;
        }
        let mut body = mem::take(&mut self.0);
        // Without a runtime there is no connection either.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(timeout(MOST, async move {
                while let Ok(Some(Ok(_))) = timeout(SILENCE, body.frame()).await {}
            }));
        }
    }
}
