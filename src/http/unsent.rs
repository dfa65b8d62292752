//! Counts unsent responses under the memory limit, because a client that does not read keeps them in memory.

use std::sync::Arc;

use axum::body::{Bytes, HttpBody};
use axum::response::Response;

use super::body::{Attachment, attach};
use super::reserved_bytes::with_reservation;
use crate::pipeline::queue::Memory;

/// Smaller responses are limited by the number of connections, and over HTTP/2 by the memory limit for open
/// requests.
const CHARGED_FROM: usize = 8 << 10;

/// An extension of responses whose bytes are shared, so that an unsent one uses no memory of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedBytes;

/// Counts large pieces of the response under the memory limit until they are sent.
pub(super) fn charged(memory: &Arc<Memory>, response: Response) -> Response {
    let small = response.body().size_hint().upper().is_some_and(|most| most < CHARGED_FROM as u64);
    if small || response.extensions().get::<SharedBytes>().is_some() {
        return response;
    }
    let unsent = Unsent { memory: Arc::clone(memory) };
    response.map(|body| attach(body, unsent))
}

struct Unsent {
    memory: Arc<Memory>,
}

impl Attachment for Unsent {
    fn piece(&mut self, piece: Bytes) -> Bytes {
        if piece.len() < CHARGED_FROM {
            return piece;
        }
        let permit = Arc::new(self.memory.charge(piece.len() as u64));
        with_reservation(piece, &permit)
    }
}
