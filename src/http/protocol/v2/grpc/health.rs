//! `grpc.health.v1.Health`. The status is determined for each call, so it is always current.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream;
use tonic::server::NamedService;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};

use super::messages::grpc_inference_service_server::GrpcInferenceServiceServer;
use super::service::Inference;
use crate::http::problem::{Kind, Problem, grpc};
use crate::http::protocol::v2::signature;
use crate::http::{Phase, Server};

/// Interval at which the status is checked for `Watch`.
const PERIOD: Duration = Duration::from_secs(1);

/// The service.
#[derive(Debug, Clone)]
pub(super) struct HealthService {
    server: Arc<Server>,
}

type Statuses = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

impl HealthService {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server }
    }

    /// Checks that `service` is empty, which means the server, or the inference service.
    fn check_name(service: &str) -> Result<(), Status> {
        let name = <GrpcInferenceServiceServer<Inference> as NamedService>::NAME;
        if service.is_empty() || service == name {
            return Ok(());
        }
        let detail = format!(
            "there is no service {service:?}; use {name:?}, or an empty name for the whole server"
        );
        Err(grpc::of(Problem::with_detail(Kind::NotFound, &detail)))
    }
}

#[async_trait]
impl health_server::Health for HealthService {
    type WatchStream = Statuses;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Self::check_name(&request.into_inner().service)?;
        Ok(Response::new(now(&self.server)))
    }

    /// Sends every change of the status. Ends when the server shuts down, so that watchers do not delay it.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Statuses>, Status> {
        Self::check_name(&request.into_inner().service)?;
        let last = None::<HealthCheckResponse>;
        let changes =
            stream::unfold((Arc::clone(&self.server), last), |(server, last)| async move {
                loop {
                    let now = now(&server);
                    if last.as_ref() != Some(&now) {
                        return Some((Ok(now), (server, Some(now))));
                    }
                    if server.phase.current() != Phase::Serving {
                        return None;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(PERIOD) => {}
                        () = server.phase.drained() => {}
                    }
                }
            });
        Ok(Response::new(Box::pin(changes)))
    }
}

fn now(server: &Server) -> HealthCheckResponse {
    let ready = signature::server_ready(server).is_ok();
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    HealthCheckResponse { status: status.into() }
}
