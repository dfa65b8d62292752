//! Decompresses messages. tonic would neither count the memory nor move the work away from the threads that
//! serve connections.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

use crate::http::inflate::{Encoding, inflate};
use crate::http::problem::{Problem, grpc};
use crate::http::{Server, upload};

/// The header with the compression of messages.
const ENCODING: &str = "grpc-encoding";

/// The compression flag and the length before a message.
const PREFIX: usize = 5;

/// Passes on the request with an uncompressed message.
pub(super) async fn inflated(
    State(server): State<Arc<Server>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(encoding) = named(request.headers()) else { return next.run(request).await };
    match uncompressed(&server, request, encoding).await {
        Ok(request) => next.run(request).await,
        Err(problem) => grpc::of(problem).into_http(),
    }
}

/// The compression, if it is supported; tonic rejects others.
fn named(headers: &HeaderMap) -> Option<Encoding> {
    match headers.get(ENCODING)?.as_bytes() {
        b"gzip" => Some(Encoding::Gzip),
        b"deflate" => Some(Encoding::Deflate),
        _ => None,
    }
}

/// The request with its message decompressed, if its flag says that it is compressed.
async fn uncompressed(
    server: &Server,
    request: Request,
    encoding: Encoding,
) -> Result<Request, Problem> {
    let limit = server.max_bytes;
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(ENCODING);
    let whole = upload::read_raw(body, 0).await.map_err(|error| {
        upload::why_refused(&error, limit)
            .unwrap_or_else(|| Problem::bad_request(format!("the message cannot be read: {error}")))
    })?;
    if whole.first() != Some(&1) || whole.len() < PREFIX {
        return Ok(Request::from_parts(parts, Body::from(whole)));
    }
    let held = Arc::new(server.reserve(encoding.working_memory())?);
    let rejected_for = server.counting();
    let inflating = move || inflate(&whole[PREFIX..], encoding, limit, &held, rejected_for);
    let message = server.shared.parse(usize::MAX, inflating).await?;
    let length = u32::try_from(message.len()).map_err(|_| Problem::too_many_bytes(limit))?;
    let mut prefix = vec![0];
    prefix.extend(length.to_be_bytes());
    let frames = [Bytes::from(prefix), message].map(Ok::<_, std::convert::Infallible>);
    Ok(Request::from_parts(parts, Body::from_stream(stream::iter(frames))))
}
