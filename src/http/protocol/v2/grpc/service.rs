//! `GRPCInferenceService`.

use tonic::{Request, Response, Status, async_trait};

use super::messages::grpc_inference_service_server::GrpcInferenceService;
use super::messages::{
    ModelConfigRequest, ModelConfigResponse, ModelInferRequest, ModelInferResponse,
    ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
    ModelStatisticsRequest, ModelStatisticsResponse, RepositoryIndexRequest,
    RepositoryIndexResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest,
    ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
};
use super::{metadata, read, status, write};
use crate::http::answers::Spent;
use crate::http::problem::Problem;
use crate::http::protocol::v2::asked::Infer;
use crate::http::protocol::v2::{run, served};
use crate::http::{App, origin};
use crate::pipeline::queue::{Deadline, RequestContext};

/// The service; clones share the server.
#[derive(Debug, Clone)]
pub(super) struct Inference {
    app: App,
}

impl Inference {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }

    fn check(&self, model: &str, version: &str) -> Result<(), Status> {
        served::check(&self.app, model, version).map_err(status::of)
    }

    async fn infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Problem> {
        let limit = read::time_limit(request.metadata(), self.app.timeouts.request)?;
        let arrived = Deadline::after(limit);
        let origin = origin::of(request.extensions());
        let message = request.into_inner();
        served::check(&self.app, &message.model_name, &message.model_version)?;
        let form = write::Form::of(&message);
        // Millions of floats may have to be looked at: not on a thread that others wait for.
        let app = self.app.clone();
        let bytes = prost::Message::encoded_len(&message);
        let read = move || Infer::read(&app, read::request(&app, message)?);
        let infer = self.app.shared.parse(bytes, read).await?;
        let deadline = infer.time_limit.map_or(arrived, |own| arrived.sooner(own));
        let context = RequestContext { origin, deadline };
        let answer = run::run(&self.app, infer, &context).await?;
        let spent = Spent(answer.timings.as_slice().into());
        let name = &self.app.pipeline.card().name;
        let mut response = Response::new(write::response(name, answer, form));
        response.extensions_mut().insert(spent);
        Ok(response)
    }
}

#[async_trait]
impl GrpcInferenceService for Inference {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        let ready = served::ready(&self.app).is_ok();
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        self.check(&name, &version)?;
        let ready = served::ready(&self.app).is_ok();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(metadata::server()))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        self.check(&name, &version)?;
        Ok(Response::new(metadata::model(&self.app)))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        self.infer(request).await.map_err(status::of)
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let ModelConfigRequest { name, version } = request.into_inner();
        self.check(&name, &version)?;
        Ok(Response::new(ModelConfigResponse { config: Some(metadata::config(&self.app)) }))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let ModelStatisticsRequest { name, version } = request.into_inner();
        // Without a name: of all models.
        if !name.is_empty() {
            self.check(&name, &version)?;
        }
        Ok(Response::new(metadata::statistics(&self.app)))
    }

    async fn repository_index(
        &self,
        _: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        Ok(Response::new(metadata::index(&self.app)))
    }
}
