//! Answers that wait to be sent count against the memory limit: a client that does not read holds them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

use super::upload::holding;
use crate::pipeline::Pipeline;

/// Smaller responses are bounded by the number of connections.
const CHARGED_FROM: usize = 64 << 10;

/// The same response, whose large pieces count under the memory limit until they are written.
pub(super) fn charged(pipeline: &Arc<Pipeline>, response: Response) -> Response {
    let small = response.body().size_hint().upper().is_some_and(|most| most < CHARGED_FROM as u64);
    if small {
        return response;
    }
    let pipeline = Arc::clone(pipeline);
    response.map(|body| Body::new(Unsent { body, pipeline }))
}

struct Unsent {
    body: Body,
    pipeline: Arc<Pipeline>,
}

impl HttpBody for Unsent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| {
                frame.map_data(|data| match data.len() {
                    CHARGED_FROM.. => {
                        let permit = Arc::new(self.pipeline.charge(data.len()));
                        holding(data, &permit)
                    }
                    _ => data,
                })
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
