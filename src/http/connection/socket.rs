//! The transport of a connection: TCP, or TLS over TCP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Maximum number of bytes that TLS buffers for a client that does not read.
const UNSENT: usize = 16 << 10;

/// The transport of a connection.
#[derive(Debug)]
pub(in super::super) enum Socket {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS, after the handshake.
    Tls(Box<Secured>),
}

/// A TLS connection.
#[derive(Debug)]
pub(in super::super) struct Secured {
    stream: TlsStream<CountedStream>,
    /// A byte that was read to check whether the client has closed its sending side.
    ahead: Option<u8>,
}

impl Socket {
    /// The transport of a connection whose handshake is done.
    pub(in super::super) fn secured(mut stream: TlsStream<CountedStream>) -> Self {
        stream.get_mut().1.set_buffer_limit(Some(UNSENT));
        Self::Tls(Box::new(Secured { stream, ahead: None }))
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(secured) => &secured.stream.get_ref().0.stream,
        }
    }

    /// Number of bytes that the system has accepted from TLS so far. Writes to TLS can succeed before that. 0
    /// without TLS.
    pub(super) fn taken(&self) -> u64 {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(secured) => secured.stream.get_ref().0.written,
        }
    }

    /// The pending error of the connection, if any.
    pub(super) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.tcp().take_error()
    }

    /// Writes `bytes` as far as possible without waiting.
    pub(super) fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.try_write(bytes).map(drop),
            Self::Tls(secured) => {
                let context = &mut Context::from_waker(Waker::noop());
                let stream = &mut secured.stream;
                if let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(context, bytes) {
                    written?;
                }
                match Pin::new(stream).poll_flush(context) {
                    Poll::Ready(flushed) => flushed,
                    Poll::Pending => Ok(()),
                }
            }
        }
    }

    /// Whether the client has closed its sending side and all its bytes are read. Wakes the task when more
    /// bytes arrive.
    pub(super) fn is_closed(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let read = match self {
            Self::Plain(stream) => {
                return Ok(match stream.poll_peek(context, &mut buffer) {
                    Poll::Ready(read) => read? == 0,
                    Poll::Pending => false,
                });
            }
            // TLS has no peek.
            Self::Tls(secured) if secured.ahead.is_some() => return Ok(false),
            Self::Tls(secured) => secured.read(context, &mut buffer),
        };
        let arrived = buffer.filled().first().copied();
        match (read, self, arrived) {
            (Poll::Ready(read), Self::Tls(secured), arrived) => {
                read?;
                secured.ahead = arrived;
                Ok(arrived.is_none())
            }
            _ => Ok(false),
        }
    }
}

impl Secured {
    /// Reads from the connection. Many clients close it without `close_notify`, which HTTP does not need
    /// because its messages have lengths.
    fn read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        read.map(|read| match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            read => read,
        })
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(secured) => {
                if buffer.remaining() > 0
                    && let Some(byte) = secured.ahead.take()
                {
                    buffer.put_slice(&[byte]);
                    return Poll::Ready(Ok(()));
                }
                secured.read(context, buffer)
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(secured) => {
                Pin::new(&mut secured.stream).poll_write_vectored(context, slices)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_shutdown(context),
        }
    }
}

/// A TCP connection below TLS that counts the bytes that the system accepts.
#[derive(Debug)]
pub(in super::super) struct CountedStream {
    stream: TcpStream,
    written: u64,
}

impl CountedStream {
    pub(in super::super) fn new(stream: TcpStream) -> Self {
        Self { stream, written: 0 }
    }

    fn count(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(written)) = &written {
            self.written += *written as u64;
        }
        written
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let counted = self.get_mut();
        let written = Pin::new(&mut counted.stream).poll_write(context, bytes);
        counted.count(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let counted = self.get_mut();
        let written = Pin::new(&mut counted.stream).poll_write_vectored(context, slices);
        counted.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
