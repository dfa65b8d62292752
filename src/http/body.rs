//! Request and response bodies with an attached [`Attachment`].

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

/// A value attached to a body and dropped with it.
pub(super) trait Attachment: Send + Unpin + 'static {
    /// Called with each chunk of the body; returns the chunk to pass on.
    fn piece(&mut self, piece: Bytes) -> Bytes {
        piece
    }

    /// Called with the unread rest of the body when the body is dropped.
    fn left(&mut self, _rest: Body) {}
}

/// The same body with `attachment` attached.
pub(super) fn attach(body: Body, attachment: impl Attachment) -> Body {
    Body::new(WithAttachment { body, attachment })
}

struct WithAttachment<C: Attachment> {
    body: Body,
    attachment: C,
}

impl<C: Attachment> HttpBody for WithAttachment<C> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let attachment = &mut self.attachment;
        Poll::Ready(
            frame.map(|frame| frame.map(|frame| frame.map_data(|data| attachment.piece(data)))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<C: Attachment> Drop for WithAttachment<C> {
    fn drop(&mut self) {
        self.attachment.left(mem::take(&mut self.body));
    }
}
