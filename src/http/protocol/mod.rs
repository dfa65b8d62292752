//! Protocols of other servers: one file per protocol, on top of a common path from request to
//! classifications. `docs/protocols.md` describes them.
//!
//! A protocol consists of
//!
//! 1. the JSON of requests: a struct that borrows from the body, and its schema for the API document;
//! 2. a handler with its `utoipa::path`, whose argument `App` is the model in the path;
//! 3. [`images::ImageRequest::of`], which reads any request under all limits, and [`images::classify`];
//! 4. the JSON of answers.
//!
//! To add a protocol, write its file, and add a line to [`ProtocolPaths`] and one to [`routes`]. [`v2`] is
//! larger, because it has tensors and two encodings.

mod parameters; // top_k and function_to_apply
mod images; // a request → images → classifications, or the first problem
mod instances; // `{"instances": …}` → `{"predictions": …}`
mod huggingface; // POST /, /models/{model}
mod torchserve; // /predictions/{model}, /ping
pub(super) mod sagemaker; // /invocations
mod vertex; // routes set by Vertex AI
pub(super) mod v2; // the Open Inference Protocol of KServe and Triton
pub(super) mod kserve_v1; // /v1/models/{model}:predict

use axum::routing::{get, post};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use std::sync::Arc;

use super::{Server, health};

/// Documentation of the routes. A model's name may contain slashes, and OpenAPI cannot express the pattern of
/// such a route, so these handlers are listed here again.
#[derive(OpenApi)]
#[openapi(paths(
    huggingface::classify,
    huggingface::classify_by_name,
    torchserve::predict,
    health::ping,
    sagemaker::invoke,
    kserve_v1::predict,
))]
struct ProtocolPaths;

/// The routes of all protocols.
pub(super) fn routes(server: &Arc<Server>) -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::with_openapi(ProtocolPaths::openapi().merge_from(v2::openapi()))
        .route("/", post(huggingface::classify))
        .route("/models/{*model}", post(huggingface::classify_by_name))
        .route("/health", get(health::ping))
        .route("/ping", get(health::ping))
        .route("/predictions/{*model}", post(torchserve::predict).put(torchserve::predict))
        .route("/invocations", post(sagemaker::invoke))
        .merge(v2::routes(server).into())
        .merge(vertex::routes(&server.vertex))
}
