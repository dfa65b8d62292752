//! The protocol over REST: JSON, followed by binary tensors.

mod health; // live, ready
mod metadata; // server and model metadata
mod infer; // POST …/infer
mod schemas; // schemas for /openapi.json
mod read; // JSON and binary tensors → a request
mod elements; // a JSON array → the elements of a tensor
mod short_list; // JSON lists of bounded length
mod write; // an answer → JSON and binary tensors

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get, post};
use utoipa::OpenApi;

use crate::http::Server;

/// The description of the routes in OpenAPI. Each is listed once, as `/v2/models/{model}/…`, although the name of a model may have
/// a slash.
#[derive(OpenApi)]
#[openapi(paths(
    metadata::server,
    health::live,
    health::ready,
    metadata::all_statistics,
    metadata::index,
    metadata::model,
    health::model_ready,
    metadata::config,
    metadata::statistics,
    infer::infer,
))]
pub(super) struct RestPaths;

/// Every route. A model's name may have a slash, which clients do not escape.
pub(super) fn routes() -> Router<Arc<Server>> {
    let routes = Router::new()
        .route("/v2", get(metadata::server))
        .route("/v2/health/live", get(health::live))
        .route("/v2/health/ready", get(health::ready))
        .route("/v2/models/stats", get(metadata::all_statistics))
        .route("/v2/repository/index", post(metadata::index));
    ["/v2/models/{model}", "/v2/models/{model}/{name}"].into_iter().fold(routes, |routes, model| {
        let routes = of_model(routes, model);
        of_model(routes, &format!("{model}/versions/{{version}}"))
    })
}

fn of_model(routes: Router<Arc<Server>>, prefix: &str) -> Router<Arc<Server>> {
    let parts: [(&str, MethodRouter<Arc<Server>>); 5] = [
        ("", get(metadata::model)),
        ("/ready", get(health::model_ready)),
        ("/config", get(metadata::config)),
        ("/stats", get(metadata::statistics)),
        ("/infer", post(infer::infer)),
    ];
    parts
        .into_iter()
        .fold(routes, |routes, (part, method)| routes.route(&format!("{prefix}{part}"), method))
}
