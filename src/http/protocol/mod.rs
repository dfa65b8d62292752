//! What clients of other servers send, and what they look for in the answer. One way through, a thin
//! file for each of them. `docs/protocols.md` shows them all.

mod parameters; // how many classes, as what
mod images; // what came → images → classifications, all or nothing
mod instances; // `{"instances": …}` → `{"predictions": …}`
mod model; // whether a named model is the one there is
mod huggingface; // POST /, /models/{model}
mod torchserve; // /predictions/{model}, /ping
mod sagemaker; // /invocations
mod vertex; // where the platform says
mod kserve_v1; // /v1/models/{model}:predict

pub use vertex::{BadRoute, VertexRoutes};

use axum::Router;
use axum::routing::{get, post};

use super::{App, health};

/// Their routes.
pub(super) fn routes(vertex: &VertexRoutes) -> Router<App> {
    Router::new()
        .route("/", post(huggingface::classify))
        .route("/models/{*model}", post(huggingface::classify_by_name))
        .route("/health", get(health::ping))
        .route("/ping", get(health::ping))
        .route("/predictions/{*model}", post(torchserve::predict).put(torchserve::predict))
        .route("/invocations", post(sagemaker::invoke))
        .route("/v1/models", get(kserve_v1::list))
        .route("/v1/models/{*model}", get(kserve_v1::status).post(kserve_v1::predict))
        .merge(vertex.routes())
}
