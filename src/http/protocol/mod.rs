//! Protocols of other servers: one file for each, on top of a common path from request to
//! classifications. `docs/protocols.md` describes them.
//!
//! A protocol consists of
//!
//! 1. the JSON that it reads: a struct that borrows from the body, and the same for the API document;
//! 2. a handler with its `utoipa::path`, whose argument `App` is the model of the path;
//! 3. [`images::ImageRequest::of`], which reads any request under all limits, and [`images::classify`];
//! 4. the JSON that it writes.
//!
//! To add one, write its file, and add one line to [`ProtocolPaths`] and one to [`routes`]; to remove one,
//! delete them. [`v2`] is larger, because it has tensors and two encodings.

mod parameters; // top_k and function_to_apply
mod images; // a request → images → classifications, or the first problem
mod instances; // `{"instances": …}` → `{"predictions": …}`
mod huggingface; // POST /, /models/{model}
mod torchserve; // /predictions/{model}, /ping
pub(super) mod sagemaker; // /invocations
mod vertex; // routes set by Vertex AI
pub(super) mod v2; // the Open Inference Protocol, as KServe and Triton serve it
pub(super) mod kserve_v1; // /v1/models/{model}:predict

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use std::sync::Arc;

use super::problem::Problem;
use super::{Server, health};

/// What is said of them. A model's name may have slashes, and the pattern of such a route is none that
/// a document can have, so that they are named here once more.
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

/// `problem` as the answer to a request with these headers, before it has reached a route.
pub(super) fn refuse(problem: Problem, headers: &HeaderMap) -> Response {
    v2::refuse_call(&problem, headers).unwrap_or_else(|| problem.into_response())
}

/// Whether `headers` are those of gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    v2::is_grpc(headers)
}

/// Their routes.
pub(super) fn routes(server: &Arc<Server>) -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::with_openapi(ProtocolPaths::openapi().merge_from(v2::said()))
        .route("/", post(huggingface::classify))
        .route("/models/{*model}", post(huggingface::classify_by_name))
        .route("/health", get(health::ping))
        .route("/ping", get(health::ping))
        .route("/predictions/{*model}", post(torchserve::predict).put(torchserve::predict))
        .route("/invocations", post(sagemaker::invoke))
        .merge(v2::routes(server).into())
        .merge(vertex::routes(&server.vertex))
}
