//! Bytes off the wire, JSON back. Knows nothing of tensors.

mod accept; // which form of an answer is wanted
mod answers; // of a request's images, as one
mod classify; // POST /classify
mod embed; // POST /embed
mod health; // /livez, /readyz
mod layers; // what every request passes through
mod listener; // the accept loop and its end
mod metrics; // GET /metrics
mod model; // GET /v1/model
mod preprocess; // POST /preprocess
pub mod problem; // errors as documents
mod page; // GET /, for people
mod protocol; // other servers' protocols
mod query; // what a request asks
mod upload; // a body becomes images

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::http::Method;
use axum::routing::{get, post};

pub use health::{Phase, Readiness};
pub use listener::{Drain, Listener};
pub use model::{Description, Versions};
pub use page::Page;

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
    /// What is served.
    pub description: Arc<Description>,
    /// How long a request may take.
    pub timeouts: Timeouts,
    /// Whether there is a page for people.
    pub page: Page,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the upload's last byte to the answer; a request's header may shorten it.
    pub request: Duration,
    /// From the connection's first byte to the end of a request's headers.
    pub header: Duration,
    /// From the headers to the upload's last byte.
    pub body: Duration,
}

/// Every route, in one list.
pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/classify", post(classify::classify))
        .route("/embed", post(embed::embed))
        .route("/preprocess", post(preprocess::preprocess))
        .route("/v1/model", get(model::show))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::show))
        .merge(app.page.routes())
        .merge(protocol::routes())
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_this_method);
    layers::around(routes, &app).with_state(app)
}

async fn nothing_here(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::not_found(uri.path())
}

async fn not_this_method(method: Method, request: Request) -> Problem {
    Problem::method_not_allowed(method.as_str(), request.uri().path())
}
