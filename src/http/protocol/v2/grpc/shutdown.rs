//! Ends streams at shutdown that a client could leave open forever.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::stream::{self, StreamExt};
use http_body_util::{BodyStream, StreamBody};
use hyper::body::Frame;
use tonic::Code;

use crate::http::Server;

/// Ends a response when the server drains, with the status `UNAVAILABLE`.
pub(super) async fn end_streams(
    State(server): State<Arc<Server>>,
    request: Request,
    next: Next,
) -> Response {
    next.run(request).await.map(|body| {
        let frames = stream::unfold(Some((BodyStream::new(body), server)), |state| async move {
            let (mut frames, server) = state?;
            tokio::select! {
                biased;
                frame = frames.next() => frame.map(|frame| (frame, Some((frames, server)))),
                () = server.phase.drained() => Some((Ok(Frame::trailers(unavailable())), None)),
            }
        });
        Body::new(StreamBody::new(frames))
    })
}

fn unavailable() -> HeaderMap {
    let message = HeaderValue::from_static("the server is shutting down");
    HeaderMap::from_iter([
        (HeaderName::from_static("grpc-status"), HeaderValue::from(Code::Unavailable as i32)),
        (HeaderName::from_static("grpc-message"), message),
    ])
}
