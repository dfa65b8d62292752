//! KServe's v1 protocol, as in TensorFlow Serving: `POST /v1/models/{model}:predict`.

use axum::extract::Request;
use axum::response::Response;

use super::images::ImageRequest;
use super::instances;
use super::instances::{InstancesBody, Predictions};
use crate::http::openapi::{NamedModel, NamedModelProblems, Picture, Pictures, Scheduling};
use crate::http::problem::Problem;
use crate::http::{App, query};

/// Classify images (KServe v1, TensorFlow Serving)
#[utoipa::path(
    post,
    path = "/v1/models/{model}:predict",
    tag = "compatibility",
    operation_id = "kserve_v1_predict",
    params(NamedModel, Scheduling),
    request_body(content((Picture = "application/octet-stream"), (Pictures = "multipart/form-data"), (InstancesBody = "application/json")), description = "The image's bytes, a form, or JSON with `instances`"),
    responses((status = 200, description = "The classes of each instance", body = Predictions), NamedModelProblems),
)]
pub(in crate::http) async fn predict(
    app: App,
    typed: query::Typed,
    request: Request,
) -> Result<Response, Problem> {
    if !request.uri().path().ends_with(":predict") {
        return Err(Problem::not_found(request.uri().path()));
    }
    instances::answer(&app, ImageRequest::of(&app, typed, request).await?).await
}
