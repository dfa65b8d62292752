//! One connection, over HTTP/1.1 or h2c, with its limits.

mod early; // problem documents instead of hyper's own errors
mod frames; // HTTP/2 frames: blocked streams, control floods
mod hangup; // detects disconnected clients
mod wire; // the socket, with timeouts

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
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
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::pipeline::queue::ClientKey;
pub(super) use early::document;
use wire::Wire;
pub(super) use wire::close_gently;

/// The largest header block that is taken, in bytes, whatever the version of HTTP.
pub(super) const MAX_HEADERS: usize = 32 << 10;

/// HTTP/2 counts 32 bytes more for each field; what it lets through is measured again as HTTP/1.1 does.
const MAX_HEADER_LIST: u32 = 64 << 10;

/// Requests that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 64;

/// Bytes of uploads that one HTTP/2 stream, and one connection, may send ahead of what is read.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 512 << 10;

/// Bytes of an answer that are handed to one HTTP/2 stream ahead of what its client takes.
const SEND_BUFFER: usize = 64 << 10;

/// Streams that a client has reset and that are not seen yet.
const MAX_RESETS: usize = 32;

/// During shutdown, a connection without open requests is closed after this time.
const LAST_FRAMES: Duration = Duration::from_secs(1);

/// How long a connection may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionTimes {
    /// For a request's headers, and between requests.
    pub header: Duration,
    /// Without taking anything of an answer.
    pub write: Duration,
}

/// What a connection's task and its socket know of each other.
#[derive(Debug, Default)]
struct Activity {
    /// Whether it is HTTP/2.
    http2: AtomicBool,
    /// Streams that are open, over HTTP/2.
    open: AtomicUsize,
    /// Requests so far.
    requests: AtomicU64,
    /// Whether the client knows interim answers, which HTTP/1.0 has not.
    interim: AtomicBool,
}

/// Serves `stream` in a task of its own. `permit` is given back, and `stop` let go, when it ends.
pub(super) fn serve(
    stream: TcpStream,
    routes: &Router,
    client: ClientKey,
    times: ConnectionTimes,
    (stop, permit): (watch::Receiver<()>, OwnedSemaphorePermit),
) {
    // Answers are small and whole: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let activity = Arc::new(Activity::default());
    let routes = TowerToHyperService::new(routes.clone());
    let service = service_fn({
        let activity = Arc::clone(&activity);
        move |mut request: Request<Incoming>| {
            activity.requests.fetch_add(1, Ordering::Relaxed);
            activity.interim.store(request.version() == Version::HTTP_11, Ordering::Relaxed);
            request.extensions_mut().insert(client);
            routes.call(request)
        }
    });
    let wire = Wire::new(stream, times.write, Arc::clone(&activity));
    let connection = builder(times).serve_connection(TokioIo::new(wire), service).into_owned();
    tokio::spawn(async move {
        let _permit = permit;
        if let Err(error) = until_end(connection, times.header, &activity, stop).await {
            tracing::debug!(error, "a connection ended early");
        }
    });
}

fn builder(times: ConnectionTimes) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(times.header)
        .max_buf_size(MAX_HEADERS)
        // A client may close its sending side behind its upload; `hangup` looks whether it is there.
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

/// The connection to its end. hyper ends idle ones of HTTP/1.1 itself, once it knows the protocol: silence
/// before that, and idle connections of HTTP/2, are ended here.
async fn until_end<S>(
    connection: auto::Connection<'static, TokioIo<Wire>, S, TokioExecutor>,
    limit: Duration,
    activity: &Activity,
    mut stop: watch::Receiver<()>,
) -> Ended
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    tokio::pin!(connection);
    let (mut seen, mut stopping) = (0, false);
    loop {
        tokio::select! {
            ended = &mut connection => return ended,
            _ = stop.changed(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            () = tokio::time::sleep(limit) => {}
        }
        let requests = activity.requests.load(Ordering::Relaxed);
        let idle = activity.open.load(Ordering::Relaxed) == 0 && requests == seen;
        if idle && activity.http2.load(Ordering::Relaxed) {
            // GOAWAY; and an end for a client that does not close its side.
            connection.as_mut().graceful_shutdown();
            return tokio::time::timeout(LAST_FRAMES, connection).await.unwrap_or(Ok(()));
        }
        if idle && requests == 0 {
            return Ok(());
        }
        seen = requests;
    }
}
