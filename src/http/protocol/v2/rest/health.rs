//! Whether the server lives, and whether it and its model are ready.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::Place;
use crate::http::App;
use crate::http::problem::Problem;
use crate::http::protocol::v2::served;

pub(super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// `live` too: the protocol's text and its clients do not agree on the member.
pub(super) async fn ready(State(app): State<App>) -> Result<Json<Value>, Problem> {
    served::ready(&app)?;
    Ok(Json(json!({ "live": true, "ready": true })))
}

pub(super) async fn model_ready(
    State(app): State<App>,
    Path(place): Path<Place>,
) -> Result<Json<Value>, Problem> {
    place.check(&app)?;
    served::ready(&app)?;
    Ok(Json(json!({ "name": app.pipeline.card().name, "ready": true })))
}
