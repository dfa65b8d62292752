//! Metadata of server and models, in the formats of the protocol and of Triton's extensions.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::http::openapi::{NamedModel, NotFound};
use crate::http::protocol::v2::signature::{
    self, NamedInput, NamedOutput, TensorFormat, TensorMetadata,
};
use crate::http::protocol::v2::statistics::{Span, Statistics};
use crate::http::protocol::v2::tensor::Datatype;
use crate::http::protocol::v2::tensor::MAX_BATCH;
use crate::http::{App, Server};
use crate::registry::{Served, Version};

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
        "name": signature::SERVER, "version": version, "extensions": signature::EXTENSIONS,
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
pub(in super::super) async fn model(app: App) -> Json<Value> {
    let tensor = |described: TensorMetadata| {
        json!({
            "name": described.name,
            "datatype": described.datatype.name(),
            "shape": described.shape(),
        })
    };
    Json(json!({
        "name": app.model.name(),
        "versions": app.server.registry.versions(app.model.name()).iter().map(Version::as_str).collect::<Vec<_>>(),
        "platform": signature::PLATFORM,
        "inputs": NamedInput::ALL.map(|input| tensor(input.describe(&app))),
        "outputs": NamedOutput::given(&app).map(|output| tensor(output.describe(&app))).collect::<Vec<_>>(),
    }))
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
pub(in super::super) async fn config(app: App) -> Json<Value> {
    let input = |input: NamedInput| {
        let described = input.describe(&app);
        json!({
            "name": described.name,
            "data_type": type_name(described.datatype),
            "format": format_name(described.format),
            "dims": described.dims,
            "optional": input != NamedInput::Pixels,
        })
    };
    let output = |output: NamedOutput| {
        let described = output.describe(&app);
        json!({
            "name": described.name,
            "data_type": type_name(described.datatype),
            "dims": described.dims,
        })
    };
    Json(json!({
        "name": app.model.name(),
        "platform": signature::PLATFORM,
        "backend": "onnxruntime",
        "version_policy": { "latest": { "num_versions": app.server.registry.versions(app.model.name()).len() } },
        "max_batch_size": MAX_BATCH,
        "input": NamedInput::ALL.map(input),
        "output": NamedOutput::given(&app).map(output).collect::<Vec<_>>(),
        "dynamic_batching": {},
    }))
}

/// List the models (Triton's repository index)
#[utoipa::path(
    post,
    path = "/v2/repository/index",
    tag = "inference protocol",
    operation_id = "v2_index",
    responses((status = 200, description = "Every version of every model, with its state", body = serde_json::Value)),
)]
pub(in super::super) async fn index(State(server): State<Arc<Server>>) -> Json<Value> {
    let models = server.registry.list().into_iter().map(|listed| {
        json!({
            "name": listed.name,
            "version": listed.version.as_str(),
            "state": listed.state.word(),
            "reason": listed.state.reason(),
        })
    });
    Json(models.collect())
}

/// Statistics of a model (Triton)
#[utoipa::path(
    get,
    path = "/v2/models/{model}/stats",
    tag = "inference protocol",
    operation_id = "v2_model_statistics",
    params(NamedModel),
    responses((status = 200, description = "Counts and nanoseconds", body = serde_json::Value), NotFound),
)]
pub(in super::super) async fn statistics(app: App) -> Json<Value> {
    Json(json!({ "model_stats": [of_model(&app.model)] }))
}

/// Statistics of all models (Triton)
#[utoipa::path(
    get,
    path = "/v2/models/stats",
    tag = "inference protocol",
    operation_id = "v2_statistics",
    responses((status = 200, description = "Counts and nanoseconds", body = serde_json::Value)),
)]
pub(in super::super) async fn all_statistics(State(server): State<Arc<Server>>) -> Json<Value> {
    let models: Vec<_> = server.registry.serving().iter().map(|model| of_model(model)).collect();
    Json(json!({ "model_stats": models }))
}

fn of_model(model: &Served) -> Value {
    let all = Statistics::of(model.pipeline.metrics());
    let span = |span: Span| json!({ "count": span.count, "ns": span.ns });
    json!({
        "name": model.name(),
        "version": model.version.as_str(),
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
    })
}

fn type_name(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Uint8 => "TYPE_UINT8",
        Datatype::Fp32 => "TYPE_FP32",
        Datatype::Bytes => "TYPE_STRING",
    }
}

fn format_name(format: TensorFormat) -> &'static str {
    match format {
        TensorFormat::None => "FORMAT_NONE",
        TensorFormat::Nhwc => "FORMAT_NHWC",
        TensorFormat::Nchw => "FORMAT_NCHW",
    }
}
