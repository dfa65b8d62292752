//! The routes of `--admin-listen`, which change models: Triton's repository API and SageMaker's multi-model
//! API. Probes, metrics and the list of models are also available.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, Path, Request, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use http_body_util::Limited;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::change::apply_change;
use super::problem::Problem;
use super::protocol::{sagemaker, v2};
use super::{
    App, Server, access, answer_method_not_allowed, answer_not_found, answers, health, layers,
    metrics, models, query, upload,
};
use crate::registry::{Control, Verdict, WeightLimit};

/// Maximum size of a request that changes models.
const MAX_CHANGE: usize = 64 << 10;

// Paths that change models; the public address has only `hints` for them.
const LOAD: &str = "/v2/repository/models/{model}/load";
const UNLOAD: &str = "/v2/repository/models/{model}/unload";
const PROMOTE: &str = "/v1/models/{model}/canary/promote";
const ROLL_BACK: &str = "/v1/models/{model}/canary/rollback";
const SAGEMAKER: &str = "/models";

/// The routes.
pub fn router(server: &Arc<Server>) -> Router {
    let routes = Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/ping", get(health::ping))
        .route("/metrics", get(metrics::show))
        .route("/v1/models", get(models::list))
        .route(LOAD, post(load))
        .route(UNLOAD, post(unload))
        .route(PROMOTE, post(promote))
        .route(ROLL_BACK, post(roll_back))
        .route(SAGEMAKER, get(sagemaker_list).post(sagemaker_load))
        .route("/models/{model}", get(sagemaker_show).delete(sagemaker_unload))
        .route("/models/{model}/invoke", post(sagemaker_invoke))
        .merge(v2::admin_routes(server))
        .fallback(answer_not_found)
        .method_not_allowed_fallback(answer_method_not_allowed);
    let check_role = middleware::from_fn_with_state(Arc::clone(&server.access), access::check_role);
    layers::around(routes.layer(check_role), server).with_state(Arc::clone(server))
}

/// The paths that change models, as the public address has them: they answer 404 and name the admin address. (SageMaker's
/// `DELETE` has a path that also classifies images there, so it is answered 405.)
pub(super) fn hints() -> Router<Arc<Server>> {
    [LOAD, UNLOAD, PROMOTE, ROLL_BACK, SAGEMAKER].into_iter().fold(Router::new(), |routes, path| {
        routes.route(
            path,
            any(async |OriginalUri(uri): OriginalUri| Problem::on_the_admin_address(uri.path())),
        )
    })
}

/// Loads or reloads a model: `POST /v2/repository/models/{model}/load`.
async fn load(
    State(server): State<Arc<Server>>,
    Path(model): Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    check_parameters(&small(&server, body).await?)?;
    apply_change(&server, move |control| control.load(&model)).await?;
    Ok(Json(json!({})))
}

/// Unloads a model: `POST /v2/repository/models/{model}/unload`.
async fn unload(
    State(server): State<Arc<Server>>,
    Path(model): Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    check_parameters(&small(&server, body).await?)?;
    apply_change(&server, move |control| control.unload(&model)).await?;
    Ok(Json(json!({})))
}

/// The body of a request that changes models.
async fn small(server: &Server, body: Body) -> Result<Bytes, Problem> {
    let limit = server.timeouts.body;
    let reading = upload::read_raw(Body::new(Limited::new(body, MAX_CHANGE)), 0);
    tokio::time::timeout(limit, reading)
        .await
        .map_err(|_| Problem::body_timeout(limit))?
        .map_err(|error| upload::unread(&error, MAX_CHANGE))
}

/// Promotes the canary: `POST /v1/models/{model}/canary/promote`.
async fn promote(
    State(server): State<Arc<Server>>,
    Path(model): Path<String>,
) -> Result<Json<Value>, Problem> {
    end_canary(&server, &model, Verdict::Promote)
}

/// Rolls the canary back: `POST /v1/models/{model}/canary/rollback`.
async fn roll_back(
    State(server): State<Arc<Server>>,
    Path(model): Path<String>,
) -> Result<Json<Value>, Problem> {
    end_canary(&server, &model, Verdict::RollBack)
}

fn end_canary(server: &Server, model: &str, verdict: Verdict) -> Result<Json<Value>, Problem> {
    let version = server.registry.end_canary(model, verdict).map_err(Problem::change_failed)?;
    Ok(Json(json!({ "model": model, "version": version.as_str() })))
}

/// Triton's optional body of both requests.
#[derive(Debug, Default, Deserialize)]
struct RepositoryRequest {
    #[serde(default)]
    parameters: Map<String, Value>,
}

/// Rejects parameters that would change what is loaded, which files and configuration determine.
fn check_parameters(body: &[u8]) -> Result<(), Problem> {
    let request: RepositoryRequest =
        if body.is_empty() { RepositoryRequest::default() } else { super::json::read(body)? };
    match request.parameters.keys().find(|name| *name != "unload_dependents") {
        None => Ok(()),
        Some(name) => Err(Problem::invalid_parameter(format!(
            "the parameter {name:?} is not supported; change the files or the configuration of the model"
        ))),
    }
}

/// SageMaker's request to load a model.
#[derive(Debug, Deserialize)]
struct SageMakerLoad {
    model_name: String,
    /// Path of the folder or file, for a model that is neither configured nor in the repository.
    #[serde(default)]
    url: Option<String>,
}

async fn sagemaker_load(
    State(server): State<Arc<Server>>,
    body: Body,
) -> Result<Response, Problem> {
    let body = small(&server, body).await?;
    let SageMakerLoad { model_name, url } = super::json::read(&body)?;
    // SageMaker expects 409 for a model that is already loaded.
    if server.registry.find(Some(&model_name), None).is_ok() {
        let body = json!({ "message": format!("the model {model_name:?} is already loaded") });
        return Ok(answers::conflict(body));
    }
    let (name, is_known) = (model_name.clone(), server.registry.knows(&model_name));
    let load = move |control: &Control| match url.filter(|_| !is_known) {
        Some(path) => control.add(&name, &path),
        None => control.load(&name).map(|()| WeightLimit::Met),
    };
    // At 507 SageMaker unloads other models, and tries again.
    Ok(match apply_change(&server, load).await? {
        WeightLimit::Met => Json(of_sagemaker(&model_name)).into_response(),
        WeightLimit::Exceeded { bytes, limit } => {
            answers::insufficient_storage(json!({ "message": format!(
                "with {model_name:?} the weights of all models are {bytes} bytes, more than --model-memory-limit ({limit}); \
                 unload another model first"
            )}))
        }
    })
}

async fn sagemaker_list(State(server): State<Arc<Server>>) -> Json<Value> {
    let mut names: Vec<_> =
        server.registry.serving().iter().map(|model| model.name().to_owned()).collect();
    names.dedup();
    let models: Vec<_> = names.iter().map(|name| of_sagemaker(name)).collect();
    Json(json!({ "models": models }))
}

async fn sagemaker_show(app: App) -> Json<Value> {
    Json(of_sagemaker(app.model.name()))
}

async fn sagemaker_unload(
    State(server): State<Arc<Server>>,
    Path(model): Path<String>,
) -> Result<Json<Value>, Problem> {
    apply_change(&server, move |control| control.unload(&model)).await?;
    Ok(Json(json!({})))
}

async fn sagemaker_invoke(
    app: App,
    typed: query::Typed,
    request: Request,
) -> Result<Response, Problem> {
    sagemaker::invoke(app, typed, request).await
}

fn of_sagemaker(name: &str) -> Value {
    json!({ "modelName": name, "modelUrl": name })
}
