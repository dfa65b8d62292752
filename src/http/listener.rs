//! The accept loop: a header timeout, HTTP/1.1 and h2c on one port, and an end without losses.
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

use super::connection::{self, Common, ConnectionTimes, Roster};
use super::problem::Problem;
use crate::pipeline::queue::ClientKeys;

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

/// Connections that are told at the same time that there are too many.
const REFUSALS: usize = 64;

/// What connections may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenPlan {
    /// How long one may take.
    pub times: ConnectionTimes,
    /// How many there may be at once.
    pub max_connections: usize,
}

/// A port that is bound and does not listen yet: whoever connects is refused, not kept waiting.
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
    /// Where the address is taken or not this machine's.
    pub fn bind(address: SocketAddr, plan: ListenPlan) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Else the connections of a server that has just ended keep the port for a minute.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { socket, plan })
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
                    Ok((stream, _)) => self.serve_connection(stream, &routes, &connections),
                    Err(error) => rest(&error).await,
                }
            }
        };
        tokio::select! {
            () = until => {}
            () = accepting => {}
            () = self.report_refused() => {}
        }
        // Connections that the system has already taken for us would be reset by closing the port.
        while let Some(Ok((stream, _))) = self.socket.accept().now_or_never() {
            self.serve_connection(stream, &routes, &connections);
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
                tracing::warn!(count, limit, "connections refused: raise --max-connections");
            }
        }
    }

    /// Serves a connection where there is a place for it, and else says that there is none.
    fn serve_connection(&self, stream: TcpStream, routes: &Router, stop: &watch::Sender<()>) {
        match self.roster.enter() {
            Some(place) => connection::serve(
                stream,
                routes,
                self.clients.assign(),
                &self.common,
                (stop.subscribe(), place),
            ),
            None => self.refuse(stream),
        }
    }

    /// Answers 503 without reading a request, for as many connections at once as are worth it.
    fn refuse(&self, stream: TcpStream) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        tokio::spawn(async move {
            let _permit = permit;
            // A new connection's buffer has room for it.
            let _ = stream.try_write(&connection::document(&Problem::too_many_connections()));
            connection::close_gently(stream).await;
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
