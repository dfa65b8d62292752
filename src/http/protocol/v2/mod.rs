//! The Open Inference Protocol, version 2, for clients of KServe and Triton.
//!
//! REST and gRPC are two ways to write the same: each reads a request into `request::Asked`, and writes what
//! `run` answers. Requests are validated once, in between.

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
use axum::http::HeaderMap;
use axum::response::Response;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use crate::http::Server;
use crate::http::problem::Problem;

/// The OpenAPI description of the REST routes; gRPC has reflection.
pub(super) fn openapi() -> OpenApi {
    rest::RestPaths::openapi()
}

/// `problem` as the answer to a gRPC request, if `headers` are those of one.
pub(super) fn refuse_call(problem: &Problem, headers: &HeaderMap) -> Option<Response> {
    grpc::is_call(headers).then(|| grpc::refusal(problem.clone()))
}

/// Whether `headers` are those of gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    grpc::is_call(headers)
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
