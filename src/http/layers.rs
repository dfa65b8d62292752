//! Layers of every request: request id, log line, metrics, and catching panics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::{error, info};

use super::app::Answering;
use super::problem::{Problem, Told, excerpt};
use super::{Phase, Server, checks, linger, origin, unsent};
use crate::pipeline::queue::Origin;
use crate::registry::Choice;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The model that answered.
const MODEL_NAME: HeaderName = HeaderName::from_static("x-model-name");
const MODEL_VERSION: HeaderName = HeaderName::from_static("x-model-version");
/// The digest of its graph, as in `/v1/model`.
const MODEL_DIGEST: HeaderName = HeaderName::from_static("x-model-digest");
/// The model that was asked for, if another one answered because that one is overloaded.
const FALLBACK_FOR: HeaderName = HeaderName::from_static("x-model-fallback-for");
/// Routes that are polled every few seconds.
#[rustfmt::skip] // in rows
const PROBES: [&str; 7] = [
    "/livez", "/readyz", "/metrics",
    "/ping", "/health",
    "/v2/health/live", "/v2/health/ready",
];

/// Every layer, outermost last.
pub(super) fn around(routes: Router<Arc<Server>>, server: &Arc<Server>) -> Router<Arc<Server>> {
    routes
        // The upload has its own limit, which answers in our words.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(server), checks::admit))
        .layer(middleware::map_request(async |request| linger::lingering(request)))
        .layer(middleware::from_fn_with_state(Arc::clone(server), observe))
}

/// Answers with the request's id, and logs and counts the answer.
async fn observe(State(server): State<Arc<Server>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id: Arc<str> = request_id(request.headers()).into();
    let client = origin::client(request.extensions());
    request.extensions_mut().insert(Origin { request_id: Arc::clone(&id), client });
    let answering = Answering::default();
    request.extensions_mut().insert(answering.clone());
    let facts = Facts::of(&request);
    let gone = Gone { server: &server, facts: &facts, id: &id, started, answered: false };
    server.metrics.requests_in_flight.inc();
    let mut response = answer(next, request).await;
    gone.answered();

    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    if let Some(Choice { model, instead_of }) = answering.choice() {
        for (name, value) in [
            (MODEL_NAME, model.name()),
            (MODEL_VERSION, model.version.as_str()),
            (MODEL_DIGEST, model.digest()),
            (FALLBACK_FOR, instead_of.as_deref().unwrap_or_default()),
        ] {
            if let Ok(value) = HeaderValue::from_str(value)
                && !value.is_empty()
            {
                headers.insert(name, value);
            }
        }
    }
    // HTTP/2 has no such header: there a connection is ended with GOAWAY.
    if server.readiness.phase() == Phase::Draining && facts.version < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let elapsed = started.elapsed();
    server.metrics.request(&facts.route, status_of(&response).as_u16(), elapsed);
    log(&server, &id, &facts, &response, elapsed);
    unsent::charged(&server.memory, response)
}

/// A handler that panics answers 500; the connection and the server live on.
async fn answer(next: Next, request: Request) -> Response {
    let answering = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind();
    answering.await.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
        let cause = words.unwrap_or_else(|| "a panic without words".to_owned());
        Problem::internal().because(cause).into_response()
    })
}

/// Facts about a request, for its log line and metrics.
struct Facts {
    method: String,
    path: String,
    /// The route's pattern: a bounded set of metric labels, whatever paths clients try.
    route: String,
    version: Version,
}

impl Facts {
    fn of(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>();
        Self {
            method: excerpt(request.method().as_str()).into_owned(),
            path: excerpt(request.uri().path()).into_owned(),
            route: route.map_or("none", MatchedPath::as_str).to_owned(),
            version: request.version(),
        }
    }
}

/// Logs a client that disconnects before its answer, in which case the request's future is dropped.
struct Gone<'a> {
    server: &'a Server,
    facts: &'a Facts,
    id: &'a str,
    started: Instant,
    answered: bool,
}

impl Gone<'_> {
    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.server.metrics.requests_in_flight.dec();
        if self.answered {
            return;
        }
        // 499, as in nginx, for the log and the metrics.
        let elapsed = self.started.elapsed();
        self.server.metrics.request(&self.facts.route, 499, elapsed);
        let Facts { method, path, .. } = self.facts;
        info!(request.id = self.id, http.status = 499, %method, %path, "client disconnected after {elapsed:.1?}");
    }
}

/// The problem's status if there is one, because every gRPC response is a 200.
fn status_of(response: &Response) -> StatusCode {
    response.extensions().get::<Told>().map_or(response.status(), |told| told.status)
}

fn log(server: &Server, id: &str, facts: &Facts, response: &Response, elapsed: Duration) {
    let Facts { method, path, route, .. } = facts;
    let status = status_of(response);
    let told = response.extensions().get::<Told>();
    let reason = told.map(|told| told.reason);
    let detail = told.map(|told| told.detail.as_str());
    let timing = response.headers().get("server-timing").and_then(|value| value.to_str().ok());
    let elapsed_ms = (elapsed.as_secs_f64() * 1e6).round() / 1e3;
    match status {
        // Successful probes and scrapes are not logged at INFO.
        StatusCode::OK if PROBES.contains(&route.as_str()) => {
            tracing::debug!(request.id = id, http.status = 200, %method, %path, elapsed_ms, "answered");
        }
        // Logged as a count per second and reason.
        StatusCode::SERVICE_UNAVAILABLE => {
            server.shared.refusals.count(reason.unwrap_or("none"));
            tracing::debug!(request.id = id, http.status = 503, %method, %path, elapsed_ms, reason, detail, "rejected");
        }
        StatusCode::INTERNAL_SERVER_ERROR => {
            let cause = told.and_then(|told| told.cause.as_deref());
            error!(request.id = id, http.status = 500, %method, %path, elapsed_ms, reason, detail, cause, "failed");
        }
        _ => {
            let status = status.as_u16();
            info!(request.id = id, http.status = status, %method, %path, elapsed_ms, timing, reason, detail, "answered");
        }
    }
}

/// The client's request id if it is valid (1 to 128 visible ASCII characters), else a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}
