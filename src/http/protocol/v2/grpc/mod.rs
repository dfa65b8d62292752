//! The protocol over gRPC, on the same port as HTTP.

mod messages; // generated from inference.proto
mod service; // GRPCInferenceService
mod read; // a message → a request
mod write; // an answer → a message
mod metadata; // server and model metadata
mod parameters; // named values
mod body; // limits for memory, time and size of a message
mod compressed; // decompresses messages
mod codec; // bytes → messages
mod count; // counts the parts of a message before it is parsed
mod shutdown; // ends open streams at shutdown
mod health; // grpc.health.v1

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic_health::pb::health_server::HealthServer;
use tower::util::ServiceExt;

use super::Address;
use crate::http::Server;
use crate::http::problem::grpc;
use messages::grpc_inference_service_server::GrpcInferenceServiceServer;

/// Methods with a metric label of their own; others share one.
const METHODS: [&str; 11] = [
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "ModelConfig",
    "ModelStatistics",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
];

/// The routes of all services.
pub(super) fn routes(server: &Arc<Server>, address: Address) -> Router<Arc<Server>> {
    let inference =
        GrpcInferenceServiceServer::new(service::Inference::new(Arc::clone(server), address))
            .max_decoding_message_size(server.max_bytes)
            .max_encoding_message_size(usize::MAX);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(messages::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = reflection().build_v1().expect("the descriptors are made by the compiler");
    let alpha = reflection().build_v1alpha().expect("the descriptors are made by the compiler");
    let health = HealthServer::new(health::HealthService::new(Arc::clone(server)));
    let reflection = of_service(v1, &[])
        .merge(of_service(alpha, &[]))
        .layer(middleware::from_fn_with_state(Arc::clone(server), shutdown::end_streams));
    of_service(inference, &METHODS)
        .layer(middleware::from_fn_with_state(Arc::clone(server), compressed::inflated))
        .layer(middleware::from_fn_with_state(Arc::clone(server), body::guard))
        .merge(of_service(health, &["Check"]))
        .merge(reflection)
        .layer(middleware::from_fn(grpc::mark_problems))
}

/// The routes of a service: one for each of `methods`, and one for the others.
fn of_service<S>(service: S, methods: &[&str]) -> Router<Arc<Server>>
where
    S: tower::Service<axum::http::Request<Body>, Error = std::convert::Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Response: axum::response::IntoResponse,
    S::Future: Send + 'static,
{
    let service = service.map_request(|request: Request| request.map(Body::new));
    methods.iter().chain(&["{*method}"]).fold(Router::new(), |routes, method| {
        routes.route_service(&format!("/{}/{method}", S::NAME), service.clone())
    })
}
