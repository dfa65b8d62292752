//! The HTTP server. Independent of tensors.

mod admin; // routes that change the models
mod change; // one change of the models at a time
mod app; // the state of the server and of a request
mod accept; // content negotiation
mod access; // API keys, and limits for each client
mod answers; // the answer for a request's images
mod body; // bodies with an attached companion
mod checks; // checks of every request
mod classify; // POST /classify
mod classify_parameters; // its parameters
mod connection; // connections and their limits
mod cors; // requests of other origins' web pages
mod embed; // POST /embed
mod health; // /livez, /readyz, /ping
mod hosts; // allowed hosts
mod holding; // bytes that count under the memory limit
mod inflate; // compressed uploads
mod json; // bodies of JSON
mod layers; // request id, log line, metrics, panics
mod linger; // discards the rest of an upload after an early answer
mod load_report; // ORCA, for load balancers
mod listener; // the accept loop and shutdown
mod metrics; // GET /metrics
mod models; // GET /v1/models and routes with a model in the path
mod origin; // who sent a request
mod upload_rate; // the minimum upload rate
mod openapi; // GET /openapi.json
mod preprocess; // POST /preprocess
pub mod problem; // problem documents
mod page; // GET /, GET /docs
mod protocol; // protocols of other servers
mod purpose; // what a request is for
mod query; // reads parameters
mod record; // the log line and metrics of a request
mod refusals; // one log line per second for rejections
mod reload; // notices changed files
mod remote; // bodies with a URL
mod shared; // state of the handlers, except the pipeline
mod tls; // certificates
mod trace; // the spans of a request
mod unsent; // memory of unsent responses
mod vertex_routes; // paths that Vertex AI sets
mod upload; // request bodies with images

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{OriginalUri, Request};
use axum::http::Method;
use axum::{Extension, Router};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use access::{
    Access, AccessPlan, BadKeys, BadRate, ForwardedHeader, KeyRing, NewKey, NoKey, NoKeys,
    OpenMetrics, Proxies, Rate,
};
pub use admin::router as admin_router;
pub use app::{App, Server};
pub use connection::ConnectionTimes;
pub use cors::{AllowedOrigin, BadOrigin};
pub use health::{Phase, Readiness};
pub use hosts::{AllowedHosts, BadHost};
pub use listener::{Drain, ListenPlan, Listener};
pub use page::Page;
pub use shared::Shared;
pub use tls::{BadTls, Certificates, TlsPlan};
pub use vertex_routes::{BadRoute, VertexRoutes};

use problem::Problem;

/// Time limits of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the upload's last byte to the answer; a request's header may shorten it.
    pub request: Duration,
    /// From the headers to the upload's last byte.
    pub body: Duration,
    /// Minimum upload rate in bytes per second; 0 for no minimum.
    pub min_upload_rate: u64,
}

/// All routes. Path and method are in a handler's `utoipa::path`, with the rest of its description
/// in `/openapi.json`, so every route is documented.
pub fn router(server: Arc<Server>) -> Router {
    let (routes, document) = OpenApiRouter::with_openapi(openapi::outline())
        .routes(routes!(classify::classify))
        .routes(routes!(embed::embed))
        .routes(routes!(preprocess::preprocess))
        .routes(routes!(models::show_default))
        .routes(routes!(models::list))
        .merge(models::routes())
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::show))
        .routes(routes!(openapi::show))
        .merge(server.page.routes())
        .merge(protocol::routes(&server))
        .split_for_parts();
    let routes = routes
        .layer(Extension(openapi::Document::of(document, &server.access)))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_this_method);
    layers::around(routes, &server).with_state(server)
}

/// Answers 404, also for paths that support another method.
async fn nothing_here(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::not_found(uri.path())
}

async fn not_this_method(method: Method, request: Request) -> Problem {
    Problem::method_not_allowed(method.as_str(), request.uri().path())
}
