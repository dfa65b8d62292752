//! Layers of every request: request id, log line, metrics, and catching panics.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::app::Answering;
use super::load_report::{self, LoadReport, ReportFormat};
use super::problem::Problem;
use super::problem::traced::with_trace;
use super::record::{OnDisconnect, RequestFacts};
use super::trace::Trace;
use super::{Phase, Server, access, checks, cors, discard, origin, record, unsent};
use crate::pipeline::queue::Origin;
use crate::registry::Choice;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Name of the model that answered.
const MODEL_NAME: HeaderName = HeaderName::from_static("x-model-name");
const MODEL_VERSION: HeaderName = HeaderName::from_static("x-model-version");
/// The digest of its graph, as in `/v1/model`.
const MODEL_DIGEST: HeaderName = HeaderName::from_static("x-model-digest");
/// The requested model, if another one answered because of overload.
const FALLBACK_FOR: HeaderName = HeaderName::from_static("x-model-fallback-for");
/// The trace of the request (W3C Trace Context, level 2).
const TRACE_RESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// Adds all layers to `routes`; later ones are outside of earlier ones.
pub(super) fn around(routes: Router<Arc<Server>>, server: &Arc<Server>) -> Router<Arc<Server>> {
    let routes = routes
        // `upload` and `admin` have their own limits, with their own errors.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&server.access), access::check))
        .layer(middleware::from_fn_with_state(Arc::clone(server), checks::check_request));
    // Outside the checks, because browsers send preflight requests without a key.
    let routes = match cors::layer(server.access.origins()) {
        Some(layer) => routes.layer(layer),
        None => routes,
    };
    routes
        .layer(middleware::map_request(async |request| discard::discard_rest(request)))
        .layer(middleware::from_fn_with_state(Arc::clone(server), observe))
}

/// Adds the request's id and the model to the response, and logs and counts it.
async fn observe(State(server): State<Arc<Server>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id: Arc<str> = request_id(request.headers()).into();
    let client = origin::client(request.extensions());
    let answering = Answering::default();
    request.extensions_mut().insert(answering.clone());
    let load_format = ReportFormat::requested(request.headers());
    let facts = RequestFacts::of(&request, &server, Arc::clone(&id));
    let span = facts.trace().and_then(Trace::request_span);
    request.extensions_mut().insert(Origin { request_id: id, client, span, ..Origin::local() });
    let request = facts.counting(request);
    let on_disconnect = OnDisconnect::watch(&server, &facts, started);
    let response = answer(next, request).await;
    on_disconnect.answered();
    let mut response = match facts.trace() {
        Some(trace) => with_trace(response, trace.id()),
        None => response,
    };

    if let Some(choice) = answering.choice() {
        name_model(response.headers_mut(), &choice);
        if let Some(format) = load_format {
            let report = LoadReport::of(&server, &choice.model);
            response = load_report::attached(response, &report, format);
        }
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(facts.id()) {
        headers.insert(REQUEST_ID, value);
    }
    if let Some(value) = facts.trace().and_then(Trace::header) {
        headers.insert(TRACE_RESPONSE, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // HTTP/2 has no such header; its connections are closed with GOAWAY.
    if server.phase.current() != Phase::Serving && facts.version() < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    record::answered(&server, &facts, &response, started.elapsed());
    unsent::charged(&server.memory, response)
}

/// Adds the headers that name the model.
fn name_model(headers: &mut HeaderMap, Choice { model, instead_of, .. }: &Choice) {
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

/// Converts a panic of a handler to a 500; the connection and the server continue.
async fn answer(next: Next, request: Request) -> Response {
    let answering = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind();
    answering.await.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().map(|message| (*message).to_owned());
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
        let cause = message.unwrap_or_else(|| "a panic without a message".to_owned());
        Problem::internal().because(cause).into_response()
    })
}

/// The client's request id if it is valid (1 to 128 visible ASCII characters), otherwise a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}
