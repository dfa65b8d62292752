//! Writes the log line and the metrics of each request.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Bytes, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::http::{StatusCode, Version};
use axum::response::Response;
use opentelemetry::KeyValue;

use super::Server;
use super::access::ClientName;
use super::answers::RequestTimings;
use super::app::Answering;
use super::body::{Attachment, attach};
use super::phase::Phase;
use super::problem::{ProblemFacts, excerpt};
use super::purpose::Purpose;
use super::trace::{EndedRequest, Trace};
use crate::pipeline::Timings;
use crate::registry::{RequestOutcome, Served};
use crate::telemetry::metrics::AnsweredRequest;

/// Facts about a request, for its log line and metrics.
#[derive(Debug)]
pub(super) struct RequestFacts {
    id: Arc<str>,
    method: String,
    path: String,
    /// The route's pattern, so that the number of metric labels is bounded for any paths.
    route: String,
    version: Version,
    purpose: Purpose,
    address: Option<IpAddr>,
    /// Bytes of the body that were received.
    received: Arc<AtomicU64>,
    /// Microseconds from the headers to the last of these bytes, if the request is traced.
    arrived: Arc<AtomicU64>,
    trace: Option<Trace>,
    /// The model that answers.
    answering: Answering,
}

impl RequestFacts {
    pub(super) fn of(request: &Request, server: &Server, id: Arc<str>) -> Self {
        let access = &server.access;
        let purpose = access.purpose(request);
        let traces = server.traces.as_ref().filter(|_| purpose == Purpose::Api);
        let route = request.extensions().get::<MatchedPath>();
        Self {
            id,
            method: excerpt(request.method().as_str()).into_owned(),
            path: excerpt(request.uri().path()).into_owned(),
            route: route.map_or("none", MatchedPath::as_str).to_owned(),
            version: request.version(),
            purpose,
            address: access.address(request),
            received: Arc::default(),
            arrived: Arc::default(),
            trace: traces.map(|traces| Trace::begin(traces, request.headers())),
            answering: request.extensions().get::<Answering>().cloned().unwrap_or_default(),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Counts the bytes of the request's body as they arrive.
    pub(super) fn counting(&self, request: Request) -> Request {
        if request.body().is_end_stream() {
            return request;
        }
        let received = Received {
            bytes: Arc::clone(&self.received),
            arrived: self.trace.as_ref().map(|_| (Instant::now(), Arc::clone(&self.arrived))),
        };
        request.map(|body| attach(body, received))
    }

    /// The trace, if the request is traced.
    pub(super) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// Queues the request's spans, if it is traced.
    fn end_trace(&self, status: StatusCode, client: Option<&str>, images: &[Timings]) {
        let Some(trace) = &self.trace else { return };
        let Self { method, route, path, .. } = self;
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.clone()),
            KeyValue::new("http.route", route.clone()),
            KeyValue::new("url.path", path.clone()),
            KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
            KeyValue::new("resnetd.request_id", self.id.to_string()),
        ];
        attributes.extend(self.address.map(|it| KeyValue::new("client.address", it.to_string())));
        attributes.extend(client.map(|it| KeyValue::new("resnetd.client", it.to_owned())));
        let arrived = Duration::from_micros(self.arrived.load(Ordering::Relaxed));
        trace.end(EndedRequest {
            name: format!("{method} {route}"),
            attributes,
            is_error: status.is_server_error(),
            upload: (!arrived.is_zero()).then_some(arrived),
            images,
        });
    }

    /// Counts the answer. Latency is recorded only for API requests: probes and files are answered in
    /// microseconds, and would distort the percentiles.
    fn count(&self, server: &Server, status: StatusCode, elapsed: Duration) {
        let Self { method, route, .. } = self;
        let latency = (self.purpose == Purpose::Api).then_some(elapsed);
        if latency.is_some() {
            server.shared.requests.add(1.0);
        }
        let trace = self.trace.as_ref().and_then(Trace::recorded);
        let status = status.as_u16();
        server.metrics.request(AnsweredRequest { method, route, status, trace }, latency);
    }
}

/// Counts received bytes, and records when they arrived if the request is traced.
struct Received {
    bytes: Arc<AtomicU64>,
    arrived: Option<(Instant, Arc<AtomicU64>)>,
}

impl Attachment for Received {
    fn piece(&mut self, piece: Bytes) -> Bytes {
        self.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if let Some((began, arrived)) = &self.arrived {
            let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            arrived.store(micros, Ordering::Relaxed);
        }
        piece
    }
}

/// Records a request that ends without an answer, because its future is dropped: the client disconnected, or
/// the server exits.
pub(super) struct OnDisconnect<'a> {
    server: &'a Server,
    facts: &'a RequestFacts,
    started: Instant,
    answered: bool,
}

impl<'a> OnDisconnect<'a> {
    pub(super) fn watch(server: &'a Server, facts: &'a RequestFacts, started: Instant) -> Self {
        server.metrics.requests_in_flight.inc();
        Self { server, facts, started, answered: false }
    }

    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for OnDisconnect<'_> {
    fn drop(&mut self) {
        self.server.metrics.requests_in_flight.dec();
        if self.answered {
            return;
        }
        let elapsed = self.started.elapsed();
        let (status, level, message) = match self.server.phase.current() {
            Phase::Serving | Phase::Draining => (
                ProblemFacts::client_gone(),
                LogLevel::Answered,
                "client disconnected before its answer",
            ),
            Phase::CutOff => (
                StatusCode::SERVICE_UNAVAILABLE,
                LogLevel::Failed,
                "cut off without an answer: --drain-timeout has passed",
            ),
        };
        self.facts.count(self.server, status, elapsed);
        self.facts.end_trace(status, None, &[]);
        LogFields::new(self.facts, status.as_u16(), elapsed).write(level, message);
    }
}

/// The problem's status if there is one, because gRPC responses always have status 200.
fn status_of(response: &Response) -> StatusCode {
    response.extensions().get::<ProblemFacts>().map_or(response.status(), |problem| problem.status)
}

/// Counts and logs an answer.
pub(super) fn answered(
    server: &Server,
    facts: &RequestFacts,
    response: &Response,
    elapsed: Duration,
) {
    let status = status_of(response);
    facts.count(server, status, elapsed);
    let client = response.extensions().get::<ClientName>().map(ClientName::as_str);
    if let Some(client) = client {
        server.metrics.request_of(client, status.as_u16());
    }
    let problem = response.extensions().get::<ProblemFacts>();
    let spent =
        response.extensions().get::<RequestTimings>().map(|RequestTimings(timings)| &**timings);
    facts.end_trace(status, client, spent.unwrap_or_default());
    let choice = facts.answering.choice();
    if let Some(choice) = &choice
        && let Some(outcome) = outcome(status, spent)
    {
        server.registry.answered(choice, outcome);
    }
    let entry = LogFields {
        client,
        model: choice.as_ref().map(|choice| &*choice.model),
        problem,
        spent: spent.unwrap_or_default(),
        ..LogFields::new(facts, status.as_u16(), elapsed)
    };
    match status {
        StatusCode::OK if facts.purpose != Purpose::Api => entry.write(LogLevel::Quiet, "answered"),
        // Also logged as a count per second and reason.
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            let reason = problem.map_or("none", |problem| problem.reason);
            server
                .shared
                .rejections
                .count(reason, choice.as_ref().map(|choice| choice.model.name()));
            entry.write(LogLevel::Quiet, "rejected");
        }
        StatusCode::INTERNAL_SERVER_ERROR => entry.write(LogLevel::Failed, "failed"),
        _ => entry.write(LogLevel::Answered, "answered"),
    }
}

/// The outcome for a canary's trial; `None` if a client error or overload prevented one.
fn outcome(status: StatusCode, classified: Option<&[Timings]>) -> Option<RequestOutcome> {
    let is_failure = status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE;
    match classified {
        _ if is_failure => Some(RequestOutcome::Failed),
        Some(_) => Some(RequestOutcome::Answered),
        None => None,
    }
}

/// Level of the log line. A client error is not a warning, because the operator cannot correct it.
#[derive(Clone, Copy)]
enum LogLevel {
    /// At DEBUG.
    Quiet,
    /// At INFO.
    Answered,
    /// At ERROR, with the cause.
    Failed,
}

/// The fields of the log line.
struct LogFields<'a> {
    facts: &'a RequestFacts,
    status: u16,
    elapsed: Duration,
    client: Option<&'a str>,
    model: Option<&'a Served>,
    problem: Option<&'a ProblemFacts>,
    spent: &'a [Timings],
}

/// Writes an event with the fields of [`LogFields`]; `tracing` requires level and names at compile time.
macro_rules! event {
    ($level:ident, $entry:ident, $message:ident) => {{
        let LogFields { facts, status, client, model, problem, .. } = $entry;
        let sum = |stage: fn(&Timings) -> Duration| {
            let total = $entry.spent.iter().map(stage).sum::<Duration>();
            (!$entry.spent.is_empty()).then(|| millis(total))
        };
        tracing::event!(
            target: "resnetd::http",
            tracing::Level::$level,
            request.id = &*facts.id,
            trace_id = facts.trace.as_ref().map(|trace| tracing::field::display(trace.id())),
            http.status = status,
            method = facts.method,
            route = facts.route,
            path = facts.path,
            client,
            client.address = facts.address.map(tracing::field::display),
            model = model.map(Served::name),
            version = model.map(|model| tracing::field::display(&model.version)),
            bytes_in = facts.received.load(Ordering::Relaxed),
            elapsed_ms = millis($entry.elapsed),
            images = (!$entry.spent.is_empty()).then_some($entry.spent.len()),
            decode_wait_ms = sum(|timings| timings.decode_wait),
            decode_ms = sum(|timings| timings.decode),
            preprocess_ms = sum(|timings| timings.preprocess),
            queue_ms = sum(|timings| timings.queue),
            inference_ms = sum(|timings| timings.inference),
            reason = problem.map(|problem| problem.reason),
            detail = problem.map(|problem| problem.detail.as_str()),
            cause = problem.and_then(|problem| problem.cause.as_deref()),
            "{}", $message
        );
    }};
}

impl<'a> LogFields<'a> {
    fn new(facts: &'a RequestFacts, status: u16, elapsed: Duration) -> Self {
        Self { facts, status, elapsed, client: None, model: None, problem: None, spent: &[] }
    }

    fn write(self, line: LogLevel, message: &str) {
        match line {
            LogLevel::Quiet => event!(DEBUG, self, message),
            LogLevel::Answered => event!(INFO, self, message),
            LogLevel::Failed => event!(ERROR, self, message),
        }
    }
}

/// Milliseconds, to the microsecond.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
