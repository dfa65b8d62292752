//! The Open Inference Protocol, version 2, as KServe's and Triton's clients speak it.
//!
//! REST and gRPC are two ways to write the same: each reads a request into `asked::Asked`, and
//! writes what `run` answers. What is right or wrong with a request is decided once, in between.

mod served; // what there is: a model, its tensors
mod parameters; // the named values that are known
mod tensor; // what a client sends
mod floats; // normalised floats become pixels again
mod images; // tensors become images
mod asked; // a request as it was written, and as it holds
mod classes; // scores as "value:index:label"
mod run; // the images of a request through the pipeline
mod statistics; // counts and durations
mod rest; // JSON and binary tensors
mod grpc; // protobuf

use axum::Router;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use crate::http::App;

/// What is said of the routes over REST; gRPC describes itself.
pub(super) fn said() -> OpenApi {
    rest::Said::openapi()
}

pub(super) fn routes(app: &App) -> Router<App> {
    rest::routes().merge(grpc::routes(app))
}
