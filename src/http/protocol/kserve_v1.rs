//! KServe's v1 protocol, which is TensorFlow Serving's: `POST /v1/models/{model}:predict`.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::images::Arrived;
use super::instances::{InstancesBody, Predictions};
use super::{instances, model};
use crate::http::openapi::{NamedModel, NamedRefusals, NotFound, Picture, Pictures, TimeLimit};
use crate::http::problem::Problem;
use crate::http::{App, health, query};

/// Classify images (KServe v1, TensorFlow Serving)
#[utoipa::path(
    post,
    path = "/v1/models/{model}:predict",
    tag = "shapes",
    operation_id = "kserve_v1_predict",
    params(NamedModel, TimeLimit),
    request_body(content((Picture = "application/octet-stream"), (Pictures = "multipart/form-data"), (InstancesBody = "application/json")), description = "The image's bytes, a form, or JSON with `instances`"),
    responses((status = 200, description = "The classes of each instance", body = Predictions), NamedRefusals),
)]
pub(super) async fn predict(
    State(app): State<App>,
    Path(path): Path<String>,
    typed: query::Typed,
    request: Request,
) -> Result<Response, Problem> {
    let Some(name) = path.strip_suffix(":predict") else {
        return Err(Problem::not_found(request.uri().path()));
    };
    check(&app, name)?;
    instances::answer(&app, Arrived::of(&app, typed, request).await?).await
}

/// Readiness of the model (KServe v1, TensorFlow Serving)
#[utoipa::path(
    get,
    path = "/v1/models/{model}",
    tag = "shapes",
    operation_id = "kserve_v1_status",
    params(NamedModel),
    responses((status = 200, description = "The model is ready", body = serde_json::Value), NotFound),
)]
pub(super) async fn status(
    State(app): State<App>,
    Path(path): Path<String>,
) -> Result<Json<Value>, Problem> {
    check(&app, &path)?;
    if let Some(why) = health::why_not(&app) {
        return Err(Problem::not_ready(why));
    }
    Ok(Json(json!({
        "name": app.pipeline.card().name,
        "ready": true,
        "model_version_status": [{
            "version": model::VERSION,
            "state": "AVAILABLE",
            "status": { "error_code": "OK", "error_message": "" },
        }],
    })))
}

/// List the model's name (KServe v1)
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "shapes",
    operation_id = "kserve_v1_models",
    responses((status = 200, description = "A list with the model's name", body = serde_json::Value)),
)]
pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    Json(json!({ "models": [app.pipeline.card().name] }))
}

/// `{model}` or `{model}/versions/{version}`.
fn check(app: &App, path: &str) -> Result<(), Problem> {
    match path.rsplit_once("/versions/") {
        None => model::check(app, path),
        Some((name, version)) => {
            model::check(app, name)?;
            model::check_version(version)
        }
    }
}
