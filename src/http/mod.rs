//! The HTTP server. Uses neither weights, graphs nor the runtime.

mod admin; // routes that change the models
mod change; // applies a change of the models
mod app; // the state of the server and of a request
mod accept; // content negotiation
mod access; // API keys, and limits for each client
mod answers; // the answer for a request's images
mod body; // bodies with an attached value
mod checks; // checks of every request
mod classify; // POST /classify
mod classify_parameters; // its parameters
mod connection; // connections and their limits
mod cors; // requests of web pages of other origins
mod embed; // POST /embed
mod phase; // serving or shutting down
mod health; // /livez, /readyz, /ping
mod header_limits; // limits for headers
mod hosts; // allowed hosts
mod reserved_bytes; // bytes with a reservation of memory
mod inflate; // compressed uploads
mod json; // JSON bodies
mod layers; // request id, log line, metrics, panics
mod discard; // discards the rest of an upload after an early answer
mod load_report; // ORCA, for load balancers
mod listener; // the accept loop and shutdown
mod metrics; // GET /metrics
mod models; // GET /v1/models and routes with a model in the path
mod origin; // the sender of a request
mod upload_rate; // the minimum upload rate
mod openapi; // GET /openapi.json
mod preprocess; // POST /preprocess
pub mod problem; // problem documents
mod page; // GET /, GET /docs
mod protocol; // protocols of other servers
mod purpose; // what a request is for
mod query; // reads parameters
mod record; // the log line and metrics of a request
mod rejection_log; // one log line per second for rejections
mod reload; // reloads changed files
mod remote; // bodies with a URL
mod shared; // state that all requests share
mod tls; // certificates
mod trace; // the spans of a request
mod unsent; // counts unsent responses under the memory limit
mod vertex_routes; // paths set by Vertex AI
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
    OpenMetrics, Proxies, Rate, Role,
};
pub use admin::router as admin_router;
pub use app::{App, Page, Server};
pub use connection::ConnectionTimes;
pub use cors::{AllowedOrigin, BadOrigin};
pub use hosts::{AllowedHosts, BadAllowedHost};
pub use listener::{Drain, ListenPlan, Listener};
pub use phase::{Phase, ServerPhase};
pub use shared::Shared;
pub use tls::{BadTls, Certificates, TlsPlan};
pub use vertex_routes::{BadRoute, VertexRoutes};

use openapi::ApiKeys;
use problem::Problem;

/// Time limits of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the last byte of the upload to the answer; a request header may shorten it.
    pub request: Duration,
    /// From the headers to the last byte of the upload.
    pub body: Duration,
    /// Minimum upload rate in bytes per second; 0 disables it.
    pub min_upload_rate: u64,
}

/// All routes. A handler's `utoipa::path` has its path and method, so it is in `/openapi.json`. Documents of routes that
/// exist only with a model in their path are listed in `models` and `protocol`; `openapi` copies those of routes that also exist without one.
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
    let keys = if server.access.needs_key() { ApiKeys::Required } else { ApiKeys::Off };
    let routes = routes
        .merge(admin::hints())
        .layer(Extension(openapi::OpenApiDocument::of(document, keys)))
        .fallback(answer_not_found)
        .method_not_allowed_fallback(answer_method_not_allowed);
    layers::around(routes, &server).with_state(server)
}

/// Answers 404: for unknown paths, and for `GET /` with `--page off`, where `POST /` exists.
async fn answer_not_found(OriginalUri(uri): OriginalUri) -> Problem {
    Problem::not_found(uri.path())
}

async fn answer_method_not_allowed(method: Method, request: Request) -> Problem {
    Problem::method_not_allowed(method.as_str(), request.uri().path())
}
