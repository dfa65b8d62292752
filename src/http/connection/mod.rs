//! One connection, over HTTP/1.1 or h2c, with its limits.

mod activity; // open requests of a connection
mod error_responses; // problem documents instead of hyper's own errors
mod fields; // counts the headers of an HTTP/2 request
mod frames; // HTTP/2 frames: blocked streams, memory of open requests, control floods
mod handshake; // the TLS handshake
mod hangup; // detects disconnected clients
mod pool; // memory limit for the open requests of all HTTP/2 connections
mod frame_reader; // bytes → HTTP/2 frames
mod open_connections; // all connections; at the limit, evicts the one that is idle longest
mod socket; // TCP, or TLS over TCP
mod wire; // the socket, with timeouts

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::http::Version;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

use super::body::attach;
use super::header_limits::MAX_HEADERS;
use super::origin::Peer;
use super::tls::Certificates;
use crate::telemetry::Metrics;
use activity::Activity;
pub(super) use error_responses::document;
pub(super) use open_connections::{ConnectionSlot, OpenConnections};
pub(super) use pool::Pool;
pub(super) use socket::Socket;
use wire::Wire;
pub(super) use wire::close_gently;

/// The limit for HTTP/2, which counts 32 additional bytes per field. The size without these is checked later,
/// as in HTTP/1.1.
const MAX_HEADER_LIST: u32 = 40 << 10;

/// Maximum number of open requests of an HTTP/2 connection.
const MAX_STREAMS: u32 = 64;

/// Flow-control windows of an HTTP/2 stream and of a connection, in bytes.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 512 << 10;

/// Bytes of a response that are buffered for an HTTP/2 stream.
const SEND_BUFFER: usize = 64 << 10;

/// Maximum number of streams that a client has reset and that are not accepted yet.
const MAX_RESETS: usize = 32;

/// An idle or evicted connection is closed after this time, even if the client does not close its side.
const GOAWAY_LIMIT: Duration = Duration::from_secs(1);

/// Time limits of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionTimes {
    /// For a request's headers, and between requests.
    pub header: Duration,
    /// While the client does not read its response.
    pub write: Duration,
}

/// Maximum number of evicted connections that are shut down gracefully at a time; further ones are closed
/// immediately.
const MAX_GRACEFUL_CLOSES: usize = 64;

/// State shared by all connections.
#[derive(Debug, Clone)]
pub(super) struct Common {
    times: ConnectionTimes,
    pool: Pool,
    graceful_closes: Arc<Semaphore>,
    tls: Option<Tls>,
}

/// Certificates and metrics of TLS handshakes.
#[derive(Debug, Clone)]
struct Tls {
    certificates: Arc<Certificates>,
    metrics: Arc<Metrics>,
}

impl Common {
    pub(super) fn new(times: ConnectionTimes) -> Self {
        Self {
            times,
            pool: Pool::default(),
            graceful_closes: Arc::new(Semaphore::new(MAX_GRACEFUL_CLOSES)),
            tls: None,
        }
    }

    /// The same, with TLS.
    pub(super) fn with_tls(self, certificates: Arc<Certificates>, metrics: Arc<Metrics>) -> Self {
        Self { tls: Some(Tls { certificates, metrics }), ..self }
    }

    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }
}

/// An accepted connection.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: Peer,
    /// Its slot among the open connections, released when it is dropped.
    pub(super) place: ConnectionSlot,
}

/// Serves a connection in a task of its own. The connection and `stop` are dropped when it ends.
pub(super) fn serve(
    Accepted { stream, peer, place }: Accepted,
    routes: &Router,
    common: &Common,
    mut stop: watch::Receiver<()>,
) {
    // Responses are small and sent at once, so waiting for more data only delays them.
    let _ = stream.set_nodelay(true);
    let (routes, common) = (TowerToHyperService::new(routes.clone()), common.clone());
    tokio::spawn(async move {
        let transport = handshake::transport(stream, peer, &common, &place, &mut stop).await;
        let Some(socket) = transport else { return };
        let service = service_fn({
            let activity = Arc::clone(&place.activity);
            move |mut request: Request<Incoming>| {
                let open = activity.begin();
                activity.interim.store(request.version() == Version::HTTP_11, Ordering::Relaxed);
                request.extensions_mut().insert(peer);
                let answering = routes.call(request);
                async { Ok(answering.await?.map(|body| attach(body, open))) }
            }
        });
        let Common { times, pool, graceful_closes, .. } = common;
        let wire = Wire::new(socket, times.write, Arc::clone(&place.activity), pool);
        let connection = builder(times).serve_connection(TokioIo::new(wire), service).into_owned();
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = until_end(connection.as_mut(), times.header, &place.activity, stop) => ended,
            () = place.evicted.notified() => close_evicted(connection, &graceful_closes).await,
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection ended early");
        }
        drop(place);
    });
}

fn builder(times: ConnectionTimes) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(times.header)
        .max_buf_size(MAX_HEADERS)
        // A client may close its sending side after its upload; `hangup` checks whether it is still
        // connected.
        .half_close(true);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(times.header)
        .keep_alive_timeout(times.header)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_send_buf_size(SEND_BUFFER);
    http
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

type Connection<S> = auto::Connection<'static, TokioIo<Wire>, S, TokioExecutor>;

/// Runs the connection to its end. hyper closes idle HTTP/1.1 connections itself, once the protocol is known.
/// This function closes connections that are silent before that, and idle HTTP/2 connections.
async fn until_end<S>(
    mut connection: Pin<&mut Connection<S>>,
    limit: Duration,
    activity: &Activity,
    mut stop: watch::Receiver<()>,
) -> Ended
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    let (mut seen, mut stopping) = (0, false);
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            _ = stop.changed(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            () = tokio::time::sleep(limit) => {}
        }
        let requests = activity.requests.load(Ordering::Relaxed);
        let idle = activity.idle_since().is_some() && requests == seen;
        if idle && activity.http2.load(Ordering::Relaxed) {
            return close_with_goaway(connection).await;
        }
        if idle && requests == 0 {
            return Ok(());
        }
        seen = requests;
    }
}

/// Ends a connection without a request after another one has taken its place.
async fn close_evicted<S>(connection: Pin<&mut Connection<S>>, graceful_closes: &Semaphore) -> Ended
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    match graceful_closes.try_acquire() {
        Ok(_permit) => close_with_goaway(connection).await,
        Err(_) => Ok(()),
    }
}

/// Ends the connection: over HTTP/2 with GOAWAY, and after [`GOAWAY_LIMIT`] even if the client does not close its side.
async fn close_with_goaway<S>(mut connection: Pin<&mut Connection<S>>) -> Ended
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    connection.as_mut().graceful_shutdown();
    tokio::time::timeout(GOAWAY_LIMIT, connection).await.unwrap_or(Ok(()))
}
