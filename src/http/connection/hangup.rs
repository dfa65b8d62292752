//! Detects whether a client that has closed its sending side is still connected.
//!
//! A client that has closed its sending side and waits for the response cannot be distinguished
//! from one that is gone, until something is sent: a waiting client ignores an interim response,
//! and for one that is gone the system answers with a reset.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep, sleep};

use super::socket::Socket;

/// Most answers are there by then.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often is looked for the reset.
const PERIOD: Duration = Duration::from_millis(50);

/// Every client of HTTP/1.1 skips it.
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What is known of a client that is being answered.
#[derive(Debug, Default)]
pub(super) enum Hangup {
    /// Its sending side is open.
    #[default]
    Open,
    /// It is closed; then the interim answer is sent, from the byte of it that comes next.
    Closed(Pin<Box<Sleep>>, usize),
}

impl Hangup {
    /// Looks at the client's end of `stream`, and wakes the task when it is time to look again.
    pub(super) fn poll(
        &mut self,
        stream: &mut Socket,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        if matches!(self, Self::Open) {
            if !stream.is_closed(context)? {
                return Ok(());
            }
            *self = Self::Closed(Box::pin(sleep(PATIENCE)), 0);
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

    /// The same for a client of HTTP/1.0, which knows no interim answers: closed means gone.
    pub(super) fn poll_old(stream: &mut Socket, context: &mut Context<'_>) -> io::Result<()> {
        if stream.is_closed(context)? {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// Sends the rest of an interim answer that has begun: before that, nothing else can be sent.
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
