//! The accept loop: a header timeout, HTTP/1.1 and h2c on one port, and an end without losses.
//!
//! `axum::serve` installs no timer, so hyper's header timeout would be inert; hence this loop.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::pipeline::queue::ClientKeys;
use axum::Router;
use futures_util::FutureExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How connections end once the server is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// Keep accepting this long, so that balancers see that readiness is off, and clients that
    /// keep connections alive are told to close them before they are closed.
    pub delay: Duration,
    /// Then wait this long for requests that are being answered.
    pub timeout: Duration,
}

/// Connections that the system takes for us before we accept them; Linux allows 4,096 by default.
const BACKLOG: u32 = 1024;

/// Callers whose requests were dropped are told so within this time.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A port that is bound and does not listen yet: whoever connects is refused, not kept waiting.
#[derive(Debug)]
pub struct Listener {
    socket: TcpSocket,
    header_timeout: Duration,
}

impl Listener {
    /// Binds `address`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// Where the address is taken or not this machine's.
    pub fn bind(address: SocketAddr, header_timeout: Duration) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Else the connections of a server that has just ended keep the port for a minute.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { socket, header_timeout })
    }

    /// The address that was really bound.
    ///
    /// # Errors
    ///
    /// Where the system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Lets connections in.
    ///
    /// # Errors
    ///
    /// Where another program has begun to listen here meanwhile.
    pub fn listen(self) -> io::Result<Server> {
        let Self { socket, header_timeout } = self;
        let socket = socket.listen(BACKLOG)?;
        Ok(Server { socket, header_timeout, clients: ClientKeys::default() })
    }
}

/// A port that listens.
#[derive(Debug)]
pub struct Server {
    socket: TcpListener,
    header_timeout: Duration,
    clients: ClientKeys,
}

impl Server {
    /// Serves `routes` until `stop` is done, then drains; `give_up` ends what is still open after
    /// the drain timeout. True where every request was answered in time.
    pub async fn serve(
        self,
        routes: Router,
        stop: impl Future<Output = ()>,
        drain: Drain,
        give_up: impl FnOnce(),
    ) -> bool {
        let connections = GracefulShutdown::new();
        let until = async {
            stop.await;
            tokio::time::sleep(drain.delay).await;
        };
        let accepting = async {
            loop {
                match self.socket.accept().await {
                    Ok((stream, _)) => self.serve_connection(stream, &routes, &connections),
                    Err(error) => rest(&error).await,
                }
            }
        };
        tokio::select! {
            () = until => {}
            () = accepting => {}
        }
        // Connections that the system has already taken for us would be reset by closing the port.
        while let Some(Ok((stream, _))) = self.socket.accept().now_or_never() {
            self.serve_connection(stream, &routes, &connections);
        }
        drop(self.socket);
        let mut ended = pin!(connections.shutdown());
        if tokio::time::timeout(drain.timeout, &mut ended).await.is_ok() {
            return true;
        }
        give_up();
        let _ = tokio::time::timeout(LAST_WORDS, ended).await;
        false
    }

    fn serve_connection(&self, stream: TcpStream, routes: &Router, open: &GracefulShutdown) {
        // Answers are small and whole: waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(self.header_timeout);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.header_timeout)
            .keep_alive_timeout(self.header_timeout);
        let asked = Arc::new(AtomicBool::new(false));
        let routes = TowerToHyperService::new(routes.clone());
        let client = self.clients.assign();
        let service = service_fn({
            let asked = Arc::clone(&asked);
            move |mut request: Request<Incoming>| {
                asked.store(true, Ordering::Relaxed);
                request.extensions_mut().insert(client);
                routes.call(request)
            }
        });
        let connection = http.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = open.watch(connection);
        let limit = self.header_timeout;
        tokio::spawn(async move {
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                // hyper's timer starts once it knows the protocol: silence before is ours to end.
                () = tokio::time::sleep(limit) => {
                    if !asked.load(Ordering::Relaxed) {
                        return;
                    }
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(error, "a connection ended early");
            }
        });
    }
}

/// A peer that is gone concerns only itself; a shortage (of file descriptors, say) needs a pause.
async fn rest(error: &io::Error) {
    let peer_gone = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    );
    if !peer_gone {
        tracing::warn!(%error, "cannot accept connections; trying again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
