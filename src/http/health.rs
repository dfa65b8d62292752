//! `/livez`, `/readyz` and `/ping`: liveness and readiness probes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::NotReady;
use super::phase::Phase;
use super::problem::Problem;
use super::{App, Server};
use crate::registry::Served;

/// The answer of `/livez`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Live {
    /// Always true.
    live: bool,
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    /// Always true; a server that is not ready answers a problem document.
    ready: bool,
    /// The device of the default model: `cpu` or `cuda:N`; empty without a default model.
    device: String,
}

/// Liveness probe
///
/// Does not use the model, so that a busy server is alive.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "operation",
    operation_id = "livez",
    responses((status = 200, description = "The process is alive", body = Live)),
)]
pub(super) async fn livez() -> Json<Live> {
    Json(Live { live: true })
}

/// Readiness probe
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    operation_id = "readyz",
    responses((status = 200, description = "The server is ready", body = Ready), NotReady),
)]
pub(super) async fn readyz(State(server): State<Arc<Server>>) -> Response {
    match why_not(&server) {
        None => Json(Ready { ready: true, device: device(&server) }).into_response(),
        Some(why) => Problem::not_ready(&why).into_response(),
    }
}

/// The answer of `/ping`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Healthy {
    /// Always `Healthy`; a server that is not ready answers a problem document.
    #[schema(example = "Healthy")]
    status: &'static str,
}

/// Readiness probe (TorchServe, SageMaker, Vertex AI)
#[utoipa::path(
    get,
    path = "/ping",
    tag = "compatibility",
    operation_id = "ping",
    responses((status = 200, description = "The server is ready", body = Healthy), NotReady),
)]
pub(super) async fn ping(State(server): State<Arc<Server>>) -> Response {
    match why_not(&server) {
        None => Json(Healthy { status: "Healthy" }).into_response(),
        Some(why) => Problem::not_ready(&why).into_response(),
    }
}

/// The device of the default model.
fn device(server: &Server) -> String {
    let default = server.registry.find(None, None);
    default.map_or_else(|_| String::new(), |model| model.description.device.clone())
}

/// Why the server is not ready; `None` if it is. It is ready when its required models are.
pub(super) fn why_not(server: &Server) -> Option<String> {
    if server.phase.current() != Phase::Serving {
        return Some("the server is shutting down".to_owned());
    }
    server.registry.required().into_iter().find_map(|model| match model {
        Ok(model) => why_model_is_not_ready(&model),
        Err(missing) => Some(missing.to_string()),
    })
}

/// Why the model of a request is not ready; `None` if it is.
pub(super) fn why_not_ready(app: &App) -> Option<String> {
    match app.server.phase.current() {
        Phase::Draining | Phase::CutOff => why_not(&app.server),
        Phase::Serving => why_model_is_not_ready(&app.model),
    }
}

fn why_model_is_not_ready(model: &Served) -> Option<String> {
    model.pipeline.why_not_ready().map(str::to_owned)
}
