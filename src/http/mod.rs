//! Bytes off the wire, JSON back. Knows nothing of tensors.

mod accept; // which form of an answer is wanted
mod answers; // of a request's images, as one
mod beside; // what is told beside the classes
mod body; // bodies that something goes with
mod checks; // what every request has to be
mod classes; // the model's classes by name
mod classify; // POST /classify
mod connection; // what one connection may take
mod embed; // POST /embed
mod health; // /livez, /readyz, /ping
mod hosts; // which hosts requests may be for
mod inflate; // compressed uploads
mod json; // bodies of JSON
mod layers; // what every request passes through
mod linger; // an early answer is seen
mod listener; // the accept loop and its end
mod metrics; // GET /metrics
mod model; // GET /v1/model
mod origin; // who sent a request
mod pace; // the least speed of an upload
mod openapi; // GET /openapi.json
mod preprocess; // POST /preprocess
pub mod problem; // errors as documents
mod page; // GET /, for people
mod protocol; // what clients of other servers speak
mod query; // what a request asks
mod refusals; // in the log, summed up
mod remote; // URLs become images
mod shared; // what the handlers share beside the pipeline
mod unsent; // answers that wait to be sent
mod upload; // a body becomes images

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{OriginalUri, Request};
use axum::http::Method;
use axum::{Extension, Router};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use connection::ConnectionTimes;
pub use health::{Phase, Readiness};
pub use hosts::{AllowedHosts, BadHost};
pub use listener::{Drain, ListenPlan, Listener};
pub use model::{Description, Versions};
pub use page::Page;
pub use protocol::{BadRoute, VertexRoutes};
pub use shared::Shared;

use crate::fetch::Fetcher;
use crate::pipeline::Pipeline;
use crate::telemetry::Metrics;
use problem::Problem;

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct App {
    /// Bytes to classes.
    pub pipeline: Arc<Pipeline>,
    /// Where all is counted.
    pub metrics: Arc<Metrics>,
    /// Whether traffic is welcome.
    pub readiness: Arc<Readiness>,
    /// The model's classes by name, and the permits for parsing.
    pub shared: Arc<Shared>,
    /// What is served.
    pub description: Arc<Description>,
    /// How long a request may take.
    pub timeouts: Timeouts,
    /// Whether there is a page for people.
    pub page: Page,
    /// Fetches images that are named by URL, if that is allowed.
    pub urls: Option<Arc<Fetcher>>,
    /// Where Vertex AI asks.
    pub vertex: VertexRoutes,
    /// Which hosts requests may be for.
    pub hosts: AllowedHosts,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the upload's last byte to the answer; a request's header may shorten it.
    pub request: Duration,
    /// From the headers to the upload's last byte.
    pub body: Duration,
    /// Bytes per second at which an upload has to arrive; 0 for any.
    pub min_upload_rate: u64,
}

/// Every route, in one list. Path and method stand in a handler's `utoipa::path`, with all else that
/// `/openapi.json` says about it: so nothing can be served and not documented.
pub fn router(app: App) -> Router {
    let (routes, document) = OpenApiRouter::with_openapi(openapi::outline())
        .routes(routes!(classify::classify))
        .routes(routes!(embed::embed))
        .routes(routes!(preprocess::preprocess))
        .routes(routes!(model::show))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::show))
        .routes(routes!(openapi::show))
        .merge(app.page.routes())
        .merge(protocol::routes(&app))
        .split_for_parts();
    let routes = routes
        .layer(Extension(openapi::Document::of(document)))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_this_method);
    layers::around(routes, &app).with_state(app)
}

/// Answers that there is nothing, also where another method would find something.
async fn nothing_here(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::not_found(uri.path())
}

async fn not_this_method(method: Method, request: Request) -> Problem {
    Problem::method_not_allowed(method.as_str(), request.uri().path())
}
