//! The accept loop: a header timeout, HTTP/1.1 and h2c on one port, and graceful shutdown.
//!
//! This loop is needed because `axum::serve` installs no timer, which leaves hyper's header timeout without
//! effect.

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

use super::connection::{self, Accepted, Common, ConnectionTimes, OpenConnections, Socket};
use super::origin::Peer;
use super::problem::Problem;
use super::tls::Certificates;
use crate::pipeline::queue::ClientKeys;
use crate::telemetry::Metrics;

/// Time limits of the shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// Time during which connections are still accepted, so that load balancers notice that the server is not
    /// ready, and clients with persistent connections get `Connection: close`.
    pub delay: Duration,
    /// Time to wait for requests in flight after that.
    pub timeout: Duration,
}

/// The backlog of the listening socket; Linux allows 4,096 by default.
const BACKLOG: u32 = 1024;

/// Time to answer the callers of dropped requests.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// Maximum number of 503 answers in progress on connections above the limit.
const REFUSALS: usize = 64;

/// Limits for connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenPlan {
    /// Time limits of a connection.
    pub times: ConnectionTimes,
    /// Maximum number of open connections.
    pub max_connections: usize,
}

/// A bound port that is not listening yet; connections to it are refused immediately.
#[derive(Debug)]
pub struct Listener {
    socket: TcpSocket,
    plan: ListenPlan,
}

impl Listener {
    /// Binds `address`; port 0 selects a free one.
    ///
    /// # Errors
    ///
    /// If the address is in use, or is not one of this machine.
    pub fn bind(address: SocketAddr, plan: ListenPlan) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Without it, connections of a server that has just exited would block the port for a minute.
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

    /// Starts listening; rejected connections and failed TLS handshakes are counted in `metrics`.
    ///
    /// # Errors
    ///
    /// If another program has started to listen on this port.
    pub fn listen(self, metrics: Arc<Metrics>) -> io::Result<ListeningPort> {
        let Self { socket, plan } = self;
        let socket = socket.listen(BACKLOG)?;
        Ok(ListeningPort {
            socket,
            plan,
            clients: ClientKeys::default(),
            common: Common::new(plan.times),
            connections: OpenConnections::new(plan.max_connections, Arc::clone(&metrics)),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            refused: AtomicU64::new(0),
            metrics,
        })
    }
}

/// A listening port.
#[derive(Debug)]
pub struct ListeningPort {
    socket: TcpListener,
    plan: ListenPlan,
    clients: ClientKeys,
    common: Common,
    connections: OpenConnections,
    refusals: Arc<Semaphore>,
    /// Connections that were rejected since the last log line.
    refused: AtomicU64,
    metrics: Arc<Metrics>,
}

impl ListeningPort {
    /// Enables TLS.
    #[must_use]
    pub fn over_tls(self, certificates: Arc<Certificates>) -> Self {
        let metrics = Arc::clone(&self.metrics);
        Self { common: self.common.with_tls(certificates, metrics), ..self }
    }

    /// Serves `routes` until `stop` completes, then drains. After the drain timeout, `give_up` ends the
    /// remaining requests. Returns true if all requests were answered in time.
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
                    Err(error) => backoff_after_accept_error(&error).await,
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
        let _ = tokio::time::timeout(ABORT_GRACE, ended).await;
        false
    }

    /// Logs one line per second with the number of rejected connections.
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

    /// Serves a connection if the limit allows it, otherwise answers 503.
    fn serve_connection(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        routes: &Router,
        stop: &watch::Sender<()>,
    ) {
        let peer = Peer { address: address.ip(), key: self.clients.assign() };
        match self.connections.enter() {
            Some(place) => {
                let accepted = Accepted { stream, peer, place };
                connection::serve(accepted, routes, &self.common, stop.subscribe());
            }
            None => self.refuse(stream),
        }
    }

    /// Answers 503 without reading a request, on a limited number of connections at a time.
    fn refuse(&self, stream: TcpStream) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.metrics.rejected_connections.inc();
        if self.common.has_tls() {
            // An answer would require a handshake.
            return;
        }
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        tokio::spawn(async move {
            let _permit = permit;
            // The answer fits the buffer of a new connection.
            let _ = stream.try_write(&connection::document(&Problem::too_many_connections()));
            connection::close_gently(Socket::Plain(stream)).await;
        });
    }
}

/// Waits after an accept error: not for disconnected peers, but if resources such as file descriptors are
/// exhausted.
async fn backoff_after_accept_error(error: &io::Error) {
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
