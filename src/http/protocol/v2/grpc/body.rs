//! Limits for a message while it is received: memory, time and size.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};
use tonic::codegen::StdError;
use tonic::{Code, Status};

use crate::http::problem::{Problem, grpc};
use crate::http::upload_rate::paced;
use crate::http::{Server, upload};

/// Upper bound for the size of the frame around a message.
const FRAMES: usize = 1024;

/// Charges the body like an upload, ends it after the body timeout, and answers with a problem if it is too
/// large.
pub(super) async fn guard(
    State(server): State<Arc<Server>>,
    request: Request,
    next: Next,
) -> Response {
    let held = match server.reserve(0) {
        Ok(permit) => Arc::new(permit),
        Err(rejected) => return grpc::of(rejected.into()).into_http(),
    };
    let limit = server.max_bytes;
    let request = request.map(|body| {
        let most = limit.saturating_add(FRAMES);
        let charged = upload::charged(paced(&server, body), most, &held, server.counting());
        in_time(&server, charged)
    });
    // The message shares the body's memory, which is charged until the response is ready.
    let response = next.run(request).await;
    drop(held);
    let too_large = response
        .extensions()
        .get::<Status>()
        .is_some_and(|status| status.code() == Code::OutOfRange);
    if too_large {
        return grpc::of(Problem::too_many_bytes(limit)).into_http();
    }
    response
}

/// The body, which ends at the body timeout. Its errors are statuses, which tonic returns to the client.
fn in_time(server: &Server, body: Body) -> Body {
    let body_timeout = server.timeouts.body;
    let limit = server.max_bytes;
    let until = Instant::now() + body_timeout;
    let chunks = stream::unfold(Some(body.into_data_stream()), move |chunks| async move {
        let mut chunks = chunks?;
        let end = |error: StdError| Some((Err(error), None));
        match timeout_at(until, chunks.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(chunks))),
            Ok(Some(Err(error))) => end(match upload::why_refused(&error, limit) {
                Some(problem) => Box::new(grpc::of(problem)),
                None => error.into(),
            }),
            Err(_) => end(Box::new(grpc::of(Problem::body_timeout(body_timeout)))),
        }
    });
    Body::from_stream(chunks)
}
