//! The TLS handshake of a connection.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::socket::{CountedStream, Socket};
use super::{Common, ConnectionSlot, Tls, close_gently, document};
use crate::http::origin::Peer;
use crate::http::problem::Problem;
use crate::http::tls;

/// Time limit of a handshake: two round trips, also over slow networks.
const LONGEST: Duration = Duration::from_secs(10);

/// The transport of a new connection, after the handshake if there is TLS. `None` if it failed, took too
/// long, or another connection has taken the slot.
pub(super) async fn transport(
    stream: TcpStream,
    peer: Peer,
    common: &Common,
    place: &ConnectionSlot,
    stop: &mut watch::Receiver<()>,
) -> Option<Socket> {
    let Some(tls) = &common.tls else { return Some(Socket::Plain(stream)) };
    let limit = common.times.header.min(LONGEST);
    let opened = tokio::select! {
        opened = tokio::time::timeout(limit, open(stream, tls)) => opened,
        () = place.evicted.notified() => return None,
        // Shutdown does not wait for clients without a request.
        _ = stop.changed() => return None,
    };
    let why = match opened {
        Ok(Ok(socket)) => return Some(socket),
        Ok(Err(why)) => why,
        Err(_) => format!("it took longer than {limit:?}"),
    };
    tls.metrics.tls_handshake_failures.inc();
    tracing::debug!(client.address = %peer.address, reason = why, "TLS handshake failed");
    None
}

async fn open(stream: TcpStream, tls: &Tls) -> Result<Socket, String> {
    let mut first = [0];
    stream.peek(&mut first).await.map_err(|error| error.to_string())?;
    if first[0].is_ascii_alphabetic() {
        return Err(refuse_plain(stream).await);
    }
    let acceptor = TlsAcceptor::from(tls.certificates.current());
    let opened = acceptor.accept(CountedStream::new(stream)).await;
    opened.map(Socket::secured).map_err(|error| tls::why_failed(&error))
}

/// Answers a client that sends HTTP without TLS; returns the reason for the log.
async fn refuse_plain(mut stream: TcpStream) -> String {
    // Closing a connection with unread bytes would reset it.
    let _ = stream.read(&mut [0; 4096]).await;
    let _ = stream.try_write(&document(&Problem::tls_required()));
    close_gently(Socket::Plain(stream)).await;
    "the client sent HTTP without TLS".to_owned()
}
