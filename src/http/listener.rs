//! The accept loop: a header timeout, HTTP/1.1 and h2c on one port, and graceful shutdown.
//!
//! `axum::serve` installs no timer, so hyper's header timeout would be inert; hence this loop.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::connection::{self, Accepted, Common, ConnectionTimes, Roster, Socket};
use super::origin::Peer;
use super::problem::Problem;
use super::tls::Certificates;
use crate::pipeline::queue::ClientKeys;
use crate::telemetry::Metrics;

/// Times of the shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// Keep accepting for this long, so that load balancers notice that readiness is off, and
    /// clients with persistent connections get `Connection: close`.
    pub delay: Duration,
    /// Then wait this long for requests in flight.
    pub timeout: Duration,
}

/// The backlog of the listening socket; Linux allows 4,096 by default.
const BACKLOG: u32 = 1024;

/// Callers whose requests were dropped are answered within this time.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The maximum number of 503 answers that are being sent to connections above the limit.
const REFUSALS: usize = 64;

/// Limits for connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenPlan {
    /// Time limits of a connection.
    pub times: ConnectionTimes,
    /// Maximum number of open connections.
    pub max_connections: usize,
}

/// A port that is bound but not listening yet: connections are refused immediately.
#[derive(Debug)]
pub struct Listener {
    socket: TcpSocket,
    plan: ListenPlan,
}

impl Listener {
    /// Binds `address`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// If the address is in use or not an address of this machine.
    pub fn bind(address: SocketAddr, plan: ListenPlan) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Otherwise the connections of a server that has just exited would block the port for a
        // minute.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { socket, plan })
    }

    /// The bound address.
    ///
    /// # Errors
    ///
    /// If the system does not report it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// If another program listens on this port meanwhile.
    pub fn listen(self) -> io::Result<Server> {
        let Self { socket, plan } = self;
        let socket = socket.listen(BACKLOG)?;
        Ok(Server {
            socket,
            plan,
            clients: ClientKeys::default(),
            common: Common::new(plan.times),
            roster: Roster::new(plan.max_connections),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            refused: AtomicU64::new(0),
        })
    }
}

/// A port that listens.
#[derive(Debug)]
pub struct Server {
    socket: TcpListener,
    plan: ListenPlan,
    clients: ClientKeys,
    common: Common,
    roster: Roster,
    refusals: Arc<Semaphore>,
    refused: AtomicU64,
}

impl Server {
    /// The same server, over TLS.
    #[must_use]
    pub fn over_tls(self, certificates: Arc<Certificates>, metrics: Arc<Metrics>) -> Self {
        Self { common: self.common.with_tls(certificates, metrics), ..self }
    }

    /// Serves `routes` until `stop` is done, then drains; `give_up` ends what is still open after
    /// the drain timeout. True where every request was answered in time.
    pub async fn serve(
        self,
        routes: Router,
        stop: impl Future<Output = ()>,
        drain: Drain,
        give_up: impl FnOnce(),
    ) -> bool {
        let (connections, _) = watch::channel(());
        let until = async {
            stop.await;
            tokio::time::sleep(drain.delay).await;
        };
        let accepting = async {
            loop {
                match self.socket.accept().await {
                    Ok((stream, address)) => {
                        self.serve_connection(stream, address, &routes, &connections);
                    }
                    Err(error) => rest(&error).await,
                }
            }
        };
        tokio::select! {
            () = until => {}
            () = accepting => {}
            () = self.report_refused() => {}
        }
        // Closing the socket would reset connections in the backlog.
        while let Some(Ok((stream, address))) = self.socket.accept().now_or_never() {
            self.serve_connection(stream, address, &routes, &connections);
        }
        drop(self.socket);
        let _ = connections.send(());
        let mut ended = pin!(connections.closed());
        if tokio::time::timeout(drain.timeout, &mut ended).await.is_ok() {
            return true;
        }
        give_up();
        let _ = tokio::time::timeout(LAST_WORDS, ended).await;
        false
    }

    /// One line a second for all connections that were refused in it.
    async fn report_refused(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let count = self.refused.swap(0, Ordering::Relaxed);
            if count > 0 {
                let limit = self.plan.max_connections;
                tracing::warn!(count, limit, "connections rejected: --max-connections reached");
            }
        }
    }

    /// Serves a connection if there is a place for it in the roster, and otherwise answers 503.
    fn serve_connection(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        routes: &Router,
        stop: &watch::Sender<()>,
    ) {
        let peer = Peer { address: address.ip(), key: self.clients.assign() };
        match self.roster.enter() {
            Some(place) => {
                let accepted = Accepted { stream, peer, place };
                connection::serve(accepted, routes, &self.common, stop.subscribe());
            }
            None => self.refuse(stream),
        }
    }

    /// Answers 503 without reading a request, for a limited number of connections at a time.
    fn refuse(&self, stream: TcpStream) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if self.common.has_tls() {
            // An answer would need a handshake.
            return;
        }
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        tokio::spawn(async move {
            let _permit = permit;
            // A new connection's buffer has room for it.
            let _ = stream.try_write(&connection::document(&Problem::too_many_connections()));
            connection::close_gently(Socket::Plain(stream)).await;
        });
    }
}

/// A disconnected peer is not an error of the server; a shortage of resources (such as file
/// descriptors) needs a pause.
async fn rest(error: &io::Error) {
    let peer_gone = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    );
    if !peer_gone {
        tracing::warn!(%error, "cannot accept connections; retrying");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
