//! `GET /v1/models`, and the routes of this server with a model in the path.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::{get, post};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::openapi::{NamedModel, NotFound};
use super::problem::Problem;
use super::protocol::kserve_v1;
use super::{App, Server, classify, embed, health, preprocess};
use crate::registry::{CanaryReport, Description, ShadowReport, State as ModelState};

/// The models of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Models {
    /// Names of the models, as in KServe's v1 protocol.
    #[serde(rename = "models")]
    names: Vec<String>,
    /// The default model, which answers requests without a model name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    default: Option<String>,
    /// All versions of all models.
    versions: Vec<ModelVersion>,
}

/// One version of a model.
#[derive(Debug, Serialize, ToSchema)]
struct ModelVersion {
    /// The model's name.
    name: String,
    /// The version; 1 if the model has no versions.
    version: String,
    #[serde(flatten)]
    state: ModelState,
    /// SHA-256 of its graph, if it is loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    digest: Option<String>,
}

/// A model that is ready.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReadyModel {
    #[serde(flatten)]
    description: Description,
    /// The version that would answer.
    version: String,
    /// The canary of the model: the running trial, or the last one that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    canary: Option<CanaryReport>,
    /// Always true; a model that is not ready answers a problem document.
    ready: bool,
    /// Status for TensorFlow Serving's clients.
    #[serde(rename = "model_version_status")]
    statuses: Vec<TensorFlowStatus>,
}

/// State of a version in TensorFlow Serving's format.
#[derive(Debug, Serialize, ToSchema)]
struct TensorFlowStatus {
    version: String,
    #[schema(example = "AVAILABLE")]
    state: &'static str,
    status: TensorFlowError,
}

/// Always `OK`.
#[derive(Debug, Serialize, ToSchema)]
struct TensorFlowError {
    #[schema(example = "OK")]
    error_code: &'static str,
    error_message: &'static str,
}

/// The routes with a model in the path. A model's name may contain a slash, as on the hub.
pub(super) fn routes() -> OpenApiRouter<Arc<Server>> {
    let routes = OpenApiRouter::with_openapi(<ModelPaths as utoipa::OpenApi>::openapi());
    ["/v1/models/{model}", "/v1/models/{model}/{name}"].into_iter().fold(routes, |routes, model| {
        let routes = of_model(routes, model);
        of_model(routes, &format!("{model}/versions/{{version}}"))
    })
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(show, show_shadow))]
struct ModelPaths;

fn of_model(routes: OpenApiRouter<Arc<Server>>, prefix: &str) -> OpenApiRouter<Arc<Server>> {
    routes
        .route(prefix, get(show).post(kserve_v1::predict))
        .route(&format!("{prefix}/classify"), post(classify::classify))
        .route(&format!("{prefix}/embed"), post(embed::embed))
        .route(&format!("{prefix}/preprocess"), post(preprocess::preprocess))
        .route(&format!("{prefix}/shadow"), get(show_shadow))
}

/// List the models
///
/// All versions of all models, with state and digest.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "model",
    operation_id = "models",
    responses((status = 200, description = "Names, versions and states", body = Models)),
)]
pub(super) async fn list(State(server): State<Arc<Server>>) -> Json<Models> {
    let versions = server.registry.list().into_iter().map(|listed| ModelVersion {
        digest: listed.serving.map(|model| model.digest().to_owned()),
        name: listed.name,
        version: listed.version.to_string(),
        state: listed.state,
    });
    Json(Models {
        names: server.registry.names(),
        default: server.registry.default_name(),
        versions: versions.collect(),
    })
}

/// Describe the default model
///
/// Labels, preprocessing, device, versions, and the digests that identify the model.
#[utoipa::path(
    get,
    path = "/v1/model",
    tag = "model",
    operation_id = "model",
    responses((status = 200, description = "The model's card and how it runs", body = Description), NotFound),
)]
pub(super) async fn show_default(app: App) -> Json<Description> {
    Json(app.model.description.clone())
}

/// Describe a model
///
/// Like `/v1/model`, with additional members for clients of KServe's v1 protocol and of TensorFlow Serving. A
/// model that is not ready answers 503.
#[utoipa::path(
    get,
    path = "/v1/models/{model}",
    tag = "model",
    operation_id = "model_by_name",
    params(NamedModel),
    responses((status = 200, description = "The model is ready", body = ReadyModel), NotFound),
)]
async fn show(app: App) -> Result<Json<ReadyModel>, Problem> {
    if let Some(why) = health::why_not_ready(&app) {
        return Err(Problem::not_ready(&why));
    }
    let version = app.model.version.to_string();
    let status = TensorFlowError { error_code: "OK", error_message: "" };
    Ok(Json(ReadyModel {
        description: app.model.description.clone(),
        version: version.clone(),
        canary: app.server.registry.trial(app.model.name()).map(|trial| trial.report()),
        ready: true,
        statuses: vec![TensorFlowStatus { version, state: "AVAILABLE", status }],
    }))
}

/// Compare a model with its shadow
///
/// Results on live images since the comparison started: agreement, shift of the probability and speed, with
/// 95 % confidence intervals.
#[utoipa::path(
    get,
    path = "/v1/models/{model}/shadow",
    tag = "model",
    operation_id = "shadow",
    params(NamedModel),
    responses((status = 200, description = "The results so far", body = ShadowReport), NotFound),
)]
async fn show_shadow(app: App) -> Result<Json<ShadowReport>, Problem> {
    let shadow = app.server.registry.shadow(app.model.name());
    let none = || Problem::no_shadow(app.model.name());
    Ok(Json(shadow.ok_or_else(none)?.report(&app.model)))
}
