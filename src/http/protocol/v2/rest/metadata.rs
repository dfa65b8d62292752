//! What there is, in the protocol's words and in those of Triton's extensions.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::Place;
use crate::http::App;
use crate::http::openapi::{NamedModel, NotFound};
use crate::http::problem::Problem;
use crate::http::protocol::v2::served::{self, Described, Format, Input, Output};
use crate::http::protocol::v2::statistics::{Span, Statistics};
use crate::http::protocol::v2::tensor::Datatype;

/// Server metadata
#[utoipa::path(
    get,
    path = "/v2",
    tag = "inference protocol",
    operation_id = "v2_server",
    responses((status = 200, description = "Its name, version and extensions", body = serde_json::Value)),
)]
pub(in super::super) async fn server() -> Json<Value> {
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({
        "name": served::SERVER, "version": version, "extensions": served::EXTENSIONS,
    }))
}

/// Model metadata: the input and output tensors
#[utoipa::path(
    get,
    path = "/v2/models/{model}",
    tag = "inference protocol",
    operation_id = "v2_model",
    params(NamedModel),
    responses((status = 200, description = "Inputs and outputs, with datatype and shape", body = serde_json::Value), NotFound),
)]
pub(in super::super) async fn model(
    State(app): State<App>,
    Path(place): Path<Place>,
) -> Result<Json<Value>, Problem> {
    place.check(&app)?;
    let tensor = |described: Described| {
        json!({
            "name": described.name,
            "datatype": described.datatype.name(),
            "shape": described.shape(),
        })
    };
    Ok(Json(json!({
        "name": app.pipeline.card().name,
        "versions": [served::VERSION],
        "platform": served::PLATFORM,
        "inputs": Input::ALL.map(|input| tensor(input.describe(&app))),
        "outputs": Output::given(&app).map(|output| tensor(output.describe(&app))).collect::<Vec<_>>(),
    })))
}

/// Model configuration (Triton), as far as it applies to this server
#[utoipa::path(
    get,
    path = "/v2/models/{model}/config",
    tag = "inference protocol",
    operation_id = "v2_config",
    params(NamedModel),
    responses((status = 200, description = "The configuration", body = serde_json::Value), NotFound),
)]
pub(in super::super) async fn config(
    State(app): State<App>,
    Path(place): Path<Place>,
) -> Result<Json<Value>, Problem> {
    place.check(&app)?;
    let input = |input: Input| {
        let described = input.describe(&app);
        json!({
            "name": described.name,
            "data_type": type_name(described.datatype),
            "format": format_name(described.format),
            "dims": described.dims,
            "optional": input != Input::Pixels,
        })
    };
    let output = |output: Output| {
        let described = output.describe(&app);
        json!({
            "name": described.name,
            "data_type": type_name(described.datatype),
            "dims": described.dims,
        })
    };
    Ok(Json(json!({
        "name": app.pipeline.card().name,
        "platform": served::PLATFORM,
        "backend": "onnxruntime",
        "version_policy": { "latest": { "num_versions": 1 } },
        "max_batch_size": served::MAX_BATCH,
        "input": Input::ALL.map(input),
        "output": Output::given(&app).map(output).collect::<Vec<_>>(),
        "dynamic_batching": {},
    })))
}

/// List the model (Triton's repository index)
#[utoipa::path(
    post,
    path = "/v2/repository/index",
    tag = "inference protocol",
    operation_id = "v2_index",
    responses((status = 200, description = "The model and its state", body = serde_json::Value)),
)]
pub(in super::super) async fn index(State(app): State<App>) -> Json<Value> {
    let why_not = served::ready(&app).err();
    let state = if why_not.is_none() { "READY" } else { "UNAVAILABLE" };
    Json(json!([{
        "name": app.pipeline.card().name,
        "version": served::VERSION,
        "state": state,
        "reason": why_not.as_ref().map_or("", Problem::detail),
    }]))
}

/// Statistics of the model (Triton)
#[utoipa::path(
    get,
    path = "/v2/models/{model}/stats",
    tag = "inference protocol",
    operation_id = "v2_model_statistics",
    params(NamedModel),
    responses((status = 200, description = "Counts and nanoseconds", body = serde_json::Value), NotFound),
)]
pub(in super::super) async fn statistics(
    State(app): State<App>,
    Path(place): Path<Place>,
) -> Result<Json<Value>, Problem> {
    place.check(&app)?;
    Ok(all_statistics(State(app)).await)
}

/// Statistics of all models (Triton); the server has one
#[utoipa::path(
    get,
    path = "/v2/models/stats",
    tag = "inference protocol",
    operation_id = "v2_statistics",
    responses((status = 200, description = "Counts and nanoseconds", body = serde_json::Value)),
)]
pub(in super::super) async fn all_statistics(State(app): State<App>) -> Json<Value> {
    let all = Statistics::of(&app.metrics);
    let span = |span: Span| json!({ "count": span.count, "ns": span.ns });
    Json(json!({ "model_stats": [{
        "name": app.pipeline.card().name,
        "version": served::VERSION,
        "inference_count": all.images,
        "execution_count": all.runs,
        "inference_stats": {
            "success": span(all.success),
            "fail": span(all.fail),
            "queue": span(all.queue),
            "compute_input": span(all.compute_input),
            "compute_infer": span(all.compute_infer),
            "compute_output": span(Span::default()),
            "cache_hit": span(Span::default()),
            "cache_miss": span(Span::default()),
        },
        "batch_stats": [],
    }]}))
}

fn type_name(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Uint8 => "TYPE_UINT8",
        Datatype::Fp32 => "TYPE_FP32",
        Datatype::Bytes => "TYPE_STRING",
    }
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::None => "FORMAT_NONE",
        Format::Nhwc => "FORMAT_NHWC",
        Format::Nchw => "FORMAT_NCHW",
    }
}
