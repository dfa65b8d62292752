//! The protocol over REST: JSON, and tensors in binary behind it.

mod health; // live, ready
mod metadata; // server and model metadata
mod infer; // POST …/infer
mod documented; // schemas for /openapi.json
mod read; // JSON and binary tensors → a request
mod elements; // a JSON array → the elements of a tensor
mod few; // JSON lists of bounded length
mod write; // an answer → JSON and binary tensors

use axum::Router;
use axum::routing::{MethodRouter, get, post};
use serde::Deserialize;
use utoipa::OpenApi;

use super::served;
use crate::http::App;
use crate::http::problem::Problem;

/// The model and version in a path.
#[derive(Debug, Deserialize)]
struct Place {
    model: String,
    /// The second part of a name with a slash in it, as the hub's models have.
    name: Option<String>,
    #[serde(default)]
    version: String,
}

impl Place {
    /// That this is what is served.
    fn check(&self, app: &App) -> Result<(), Problem> {
        match &self.name {
            None => served::check(app, &self.model, &self.version),
            Some(name) => served::check(app, &format!("{}/{name}", self.model), &self.version),
        }
    }
}

/// Their OpenAPI description, under the one path pattern that the document can have.
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
pub(super) struct Said;

/// Every route. A model's name may have a slash, which clients do not escape.
pub(super) fn routes() -> Router<App> {
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

fn of_model(routes: Router<App>, prefix: &str) -> Router<App> {
    let parts: [(&str, MethodRouter<App>); 5] = [
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
