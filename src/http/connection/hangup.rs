//! Detects whether a client that has closed its sending side is still connected.
//!
//! A client that has closed its sending side may still wait for the response, or may be gone. The difference
//! shows only when something is sent: a waiting client ignores an interim response, but if the client is
//! gone, its system answers with a reset.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep, sleep};

use super::socket::Socket;

/// Delay of the interim response; most responses are sent earlier.
const INTERIM_DELAY: Duration = Duration::from_millis(250);

/// Interval of checks for a reset.
const PERIOD: Duration = Duration::from_millis(50);

/// The interim response, which all HTTP/1.1 clients ignore.
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The state of a client that waits for its response.
#[derive(Debug, Default)]
pub(super) enum Hangup {
    /// Its sending side is open.
    #[default]
    Open,
    /// Its sending side is closed. The interim response is sent after the delay; the number is how many of
    /// its bytes were sent.
    Closed(Pin<Box<Sleep>>, usize),
}

impl Hangup {
    /// Checks whether the client of `stream` is still connected, and wakes the task for the next check.
    pub(super) fn poll(
        &mut self,
        stream: &mut Socket,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        if matches!(self, Self::Open) {
            if !stream.is_closed(context)? {
                return Ok(());
            }
            *self = Self::Closed(Box::pin(sleep(INTERIM_DELAY)), 0);
        }
        let Self::Closed(timer, sent) = self else { return Ok(()) };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        while timer.as_mut().poll(context).is_ready() {
            if *sent < INTERIM.len() {
                match Pin::new(&mut *stream).poll_write(context, &INTERIM[*sent..]) {
                    Poll::Ready(written) => *sent += written?,
                    Poll::Pending => {}
                }
                if let Poll::Ready(flushed) = Pin::new(&mut *stream).poll_flush(context) {
                    flushed?;
                }
            }
            timer.as_mut().reset(Instant::now() + PERIOD);
        }
        Ok(())
    }

    /// The same for an HTTP/1.0 client, which does not support interim responses: if its sending side is
    /// closed, it counts as gone.
    pub(super) fn poll_old(stream: &mut Socket, context: &mut Context<'_>) -> io::Result<()> {
        if stream.is_closed(context)? {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// Sends the rest of a partly sent interim response, before anything else.
    pub(super) fn poll_finish(
        &mut self,
        stream: &mut Socket,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if let Self::Closed(_, sent) = self {
            while *sent > 0 && *sent < INTERIM.len() {
                *sent += ready!(Pin::new(&mut *stream).poll_write(context, &INTERIM[*sent..]))?;
            }
        }
        *self = Self::Open;
        Poll::Ready(Ok(()))
    }
}
