//! Answers that wait to be sent count against the memory limit: a client that does not read holds them.

use std::sync::Arc;

use axum::body::{Bytes, HttpBody};
use axum::response::Response;

use super::body::{Companion, accompanied};
use super::upload::holding;
use crate::pipeline::Pipeline;

/// Smaller answers are bounded by the number of connections, and over HTTP/2 by what their requests hold.
const CHARGED_FROM: usize = 8 << 10;

/// On an answer whose bytes are those of every answer of its kind: those that wait hold no memory of their own.
#[derive(Debug, Clone, Copy)]
pub(super) struct OneCopy;

/// The same response, whose large pieces are charged until the connection has written them.
pub(super) fn charged(pipeline: &Arc<Pipeline>, response: Response) -> Response {
    let small = response.body().size_hint().upper().is_some_and(|most| most < CHARGED_FROM as u64);
    if small || response.extensions().get::<OneCopy>().is_some() {
        return response;
    }
    let unsent = Unsent { pipeline: Arc::clone(pipeline) };
    response.map(|body| accompanied(body, unsent))
}

struct Unsent {
    pipeline: Arc<Pipeline>,
}

impl Companion for Unsent {
    fn piece(&mut self, piece: Bytes) -> Bytes {
        if piece.len() < CHARGED_FROM {
            return piece;
        }
        let permit = Arc::new(self.pipeline.charge(piece.len()));
        holding(piece, &permit)
    }
}
