//! The Open Inference Protocol, version 2, for clients of KServe and Triton.
//!
//! REST and gRPC are two encodings of the same requests and answers. Each reads an [`request::UncheckedRequest`]
//! and writes a [`run::InferAnswer`]; validation and inference are common to both.

mod signature; // the model and its tensors
mod parameters; // the known parameters
mod tensor; // tensors of a request
mod denormalize; // normalised floats → pixels
mod images; // tensors → images
mod request; // an inference request, before and after validation
mod classes; // scores as "value:index:label"
mod run; // classifies the images of a request
mod statistics; // counts and durations
mod rest; // JSON and binary tensors
mod grpc; // protobuf

use std::sync::Arc;

use axum::Router;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use crate::http::Server;

/// The OpenAPI description of the REST routes; gRPC has reflection.
pub(super) fn openapi() -> OpenApi {
    rest::RestPaths::openapi()
}

pub(super) fn routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    rest::routes().merge(grpc::routes(server, Address::Public))
}

/// The routes of the admin address, where gRPC also has the calls that load and unload models.
pub(in crate::http) fn admin_routes(server: &Arc<Server>) -> Router<Arc<Server>> {
    rest::routes().merge(grpc::routes(server, Address::Admin))
}

/// The address that a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address {
    /// `--listen`.
    Public,
    /// `--admin-listen`.
    Admin,
}
