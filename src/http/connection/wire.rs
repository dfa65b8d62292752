//! The socket of a connection. Closes it if the client does not read its response or floods it with
//! control frames.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use super::activity::Activity;
use super::error_responses;
use super::frames::{CALM, Frames};
use super::hangup::Hangup;
use super::pool::{Pool, PoolShare};
use super::socket::Socket;

/// The first bytes of HTTP/2, with which no HTTP/1.1 request begins.
const PRI: &[u8; 4] = b"PRI ";

/// If a client is answered before it has sent all its data, the server reads for this time. Otherwise the
/// system would reset the connection before the client has read the response.
const LINGER: Duration = Duration::from_secs(1);

/// Maximum number of bytes that are read in this time.
const LINGER_BYTES: u64 = 1 << 20;

/// A socket that hyper reads and writes.
#[derive(Debug)]
pub(super) struct Wire {
    /// Present until the connection is closed.
    stream: Option<Socket>,
    write_timeout: Duration,
    /// A timer that runs while the client does not read.
    stalled: Option<Pin<Box<Sleep>>>,
    /// With TLS, the number of bytes that the system had accepted when the timer was started.
    taken: u64,
    protocol: Protocol,
    activity: Arc<Activity>,
    /// Memory reserved for its open requests, over HTTP/2.
    part: PoolShare,
    /// The document sent instead of hyper's answer, and how much of it has been sent.
    early: Option<(Vec<u8>, usize)>,
    /// Whether to read from the client before the connection is closed.
    linger: bool,
}

/// The protocol, as far as it is known.
#[derive(Debug)]
enum Protocol {
    /// The first bytes, which are too few to detect the protocol.
    Unknown(Vec<u8>),
    /// HTTP/1.1, or an unknown protocol.
    Http1 {
        /// Whether anything was sent since the last bytes were received.
        answering: bool,
        hangup: Hangup,
    },
    Http2(Box<Frames>),
}

impl Wire {
    pub(super) fn new(
        stream: Socket,
        write_timeout: Duration,
        activity: Arc<Activity>,
        pool: Pool,
    ) -> Self {
        Self {
            stream: Some(stream),
            write_timeout,
            stalled: None,
            taken: 0,
            protocol: Protocol::Unknown(Vec::new()),
            activity,
            part: PoolShare::of(pool),
            early: None,
            linger: false,
        }
    }

    fn stream(&mut self) -> Pin<&mut Socket> {
        Pin::new(self.stream.as_mut().expect("taken only when the connection is dropped"))
    }

    /// Processes bytes from the client.
    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.protocol {
            Protocol::Unknown(first) => {
                first.extend_from_slice(bytes);
                if first.len() < PRI.len() && PRI.starts_with(first) {
                    return Ok(());
                }
                let first = mem::take(first);
                if first.starts_with(PRI) {
                    self.activity.http2.store(true, Ordering::Relaxed);
                    self.protocol = Protocol::Http2(Box::new(Frames::new()));
                    return self.received(&first);
                }
                self.protocol = Protocol::Http1 { answering: false, hangup: Hangup::default() };
            }
            Protocol::Http1 { answering, .. } => *answering = false,
            Protocol::Http2(frames) => {
                frames.received(bytes);
                self.activity.set_streams(frames.open());
                let wrong = if frames.flooded() {
                    "more than 1,000 control frames without a request"
                } else if frames.has_too_many_fields() {
                    "more than 256 headers in a request"
                } else if !self.part.hold(frames.held()) {
                    "the open requests of all connections hold too much memory"
                } else {
                    return Ok(());
                };
                return Err(self.end_flood(wrong));
            }
        }
        Ok(())
    }

    /// Sends GOAWAY if no frame is partly sent, and returns the error that ends the connection.
    fn end_flood(&mut self, wrong: &'static str) -> io::Error {
        self.linger = true;
        if let (Protocol::Http2(frames), Some(stream)) = (&self.protocol, &mut self.stream)
            && frames.between_frames()
        {
            // If the send buffer is full, the client is not reading anyway.
            let _ = stream.try_write(&CALM);
        }
        tracing::info!(reason = wrong, "connection closed: HTTP/2 limit exceeded");
        io::Error::other(wrong)
    }

    /// Processes bytes to the client.
    fn sent(&mut self, slices: &[IoSlice<'_>], written: usize) {
        match &mut self.protocol {
            Protocol::Unknown(_) => self.stalled = None,
            Protocol::Http1 { answering, .. } => {
                *answering = true;
                self.stalled = None;
            }
            Protocol::Http2(frames) => {
                let (mut left, mut went_on) = (written, false);
                for slice in slices {
                    let part = left.min(slice.len());
                    left -= part;
                    went_on |= frames.sent(&slice[..part]);
                }
                self.activity.set_streams(frames.open());
                self.part.hold(frames.held());
                // Answers to PING frames are sent even while all windows are closed.
                if went_on || !frames.blocked() {
                    self.stalled = None;
                }
            }
        }
    }

    /// Returns an error if an HTTP/2 client has left its windows closed for too long.
    fn check_windows(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match &self.protocol {
            Protocol::Http2(frames) if frames.blocked() => self.wait_for_client(context),
            Protocol::Http2(_) | Protocol::Http1 { .. } | Protocol::Unknown(_) => Ok(()),
        }
    }

    /// Returns an error if the client has not read for too long.
    fn wait_for_client(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let taken = self.stream().taken();
        if taken != mem::replace(&mut self.taken, taken) {
            self.stalled = None;
        }
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.write_timeout)));
        match timer.as_mut().poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => {
                tracing::info!(
                    "connection closed: the client read nothing of its response for {:?}",
                    self.write_timeout
                );
                Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer"))
            }
        }
    }

    /// Sends the document that replaces hyper's `head`.
    fn poll_early(
        &mut self,
        context: &mut Context<'_>,
        replaced: usize,
    ) -> Poll<io::Result<usize>> {
        while let Some((document, done)) = self.early.take() {
            if done == document.len() {
                self.linger = true;
                return Poll::Ready(Ok(replaced));
            }
            let written = self.stream().poll_write(context, &document[done..]);
            let more = match &written {
                Poll::Ready(Ok(more)) => *more,
                Poll::Ready(Err(_)) | Poll::Pending => 0,
            };
            self.early = Some((document, done + more));
            if ready!(written)? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(replaced))
    }

    /// Sends the rest of a partly sent interim response.
    fn poll_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match (&mut self.protocol, &mut self.stream) {
            (Protocol::Http1 { hangup, .. }, Some(stream)) => hangup.poll_finish(stream, context),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match self.stream().poll_read(context, buffer) {
            Poll::Ready(read) => {
                read?;
                self.received(&buffer.filled()[before..])?;
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                self.check_windows(context)?;
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.early.is_none()
            && !matches!(self.protocol, Protocol::Http2(_))
            && let [head] = slices
        {
            self.early = error_responses::replacement(head).map(|document| (document, 0));
        }
        ready!(self.poll_interim(context))?;
        let written = if self.early.is_some() {
            let replaced = slices.iter().map(|slice| slice.len()).sum();
            self.poll_early(context, replaced)
        } else {
            self.stream().poll_write_vectored(context, slices)
        };
        match written {
            Poll::Ready(Ok(written)) => {
                self.sent(slices, written);
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.wait_for_client(context)?;
                Poll::Pending
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        match (&mut wire.protocol, &mut wire.stream) {
            (Protocol::Http1 { answering: false, hangup }, Some(stream)) => {
                if wire.activity.interim.load(Ordering::Relaxed) {
                    hangup.poll(stream, context)?;
                } else {
                    Hangup::poll_old(stream, context)?;
                }
            }
            (Protocol::Http2(_), _) => wire.check_windows(context)?,
            (Protocol::Http1 { .. } | Protocol::Unknown(_), _) => {}
        }
        match self.stream().poll_flush(context) {
            Poll::Ready(flushed) => Poll::Ready(flushed),
            // TLS still buffers bytes that the client does not read.
            Poll::Pending => {
                self.wait_for_client(context)?;
                Poll::Pending
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.activity.set_streams(0);
        if let Some(stream) = self.stream.take()
            && self.linger
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(close_gently(stream));
        }
    }
}

/// Closes a connection whose client may still be sending, without a reset that would discard the response.
pub(in super::super) async fn close_gently(mut stream: Socket) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES);
        let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}
