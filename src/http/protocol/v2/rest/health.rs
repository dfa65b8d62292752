//! Liveness of the server, and readiness of server and models.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::http::openapi::{NamedModel, NotFound, NotReady};
use crate::http::problem::Problem;
use crate::http::protocol::v2::signature;
use crate::http::{App, Server};

/// Liveness probe (Open Inference Protocol)
#[utoipa::path(
    get,
    path = "/v2/health/live",
    tag = "inference protocol",
    operation_id = "v2_live",
    responses((status = 200, description = "Yes", body = serde_json::Value)),
)]
pub(in super::super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// Readiness probe (Open Inference Protocol)
#[utoipa::path(
    get,
    path = "/v2/health/ready",
    tag = "inference protocol",
    operation_id = "v2_ready",
    responses((status = 200, description = "Yes", body = serde_json::Value), NotReady),
)]
pub(in super::super) async fn ready(
    State(server): State<Arc<Server>>,
) -> Result<Json<Value>, Problem> {
    signature::server_ready(&server)?;
    // `live` too: the protocol's text and its clients use different names for the field.
    Ok(Json(json!({ "live": true, "ready": true })))
}

/// Readiness of the model (Open Inference Protocol)
#[utoipa::path(
    get,
    path = "/v2/models/{model}/ready",
    tag = "inference protocol",
    operation_id = "v2_model_ready",
    params(NamedModel),
    responses((status = 200, description = "Yes", body = serde_json::Value), NotFound),
)]
pub(in super::super) async fn model_ready(app: App) -> Result<Json<Value>, Problem> {
    signature::ready(&app)?;
    Ok(Json(json!({ "name": app.model.pipeline.card().name, "ready": true })))
}
