//! Whether the server lives, and whether it and its model are ready.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::Place;
use crate::http::App;
use crate::http::openapi::{NamedModel, NotFound, NotReady};
use crate::http::problem::Problem;
use crate::http::protocol::v2::served;

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
pub(in super::super) async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    served::ready(&app)?;
    // `live` too: the protocol's text and its clients do not agree on the member.
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
pub(in super::super) async fn model_ready(
    State(app): State<App>,
    Path(place): Path<Place>,
) -> Result<Json<Value>, Problem> {
    place.check(&app)?;
    served::ready(&app)?;
    Ok(Json(json!({ "name": app.pipeline.card().name, "ready": true })))
}
