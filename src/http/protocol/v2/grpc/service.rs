//! `GRPCInferenceService`.

use std::sync::Arc;

use tonic::{Extensions, Request, Response, Status, async_trait};

use super::messages::grpc_inference_service_server::GrpcInferenceService;
use super::messages::{
    ModelConfigRequest, ModelConfigResponse, ModelInferRequest, ModelInferResponse,
    ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
    ModelStatisticsRequest, ModelStatisticsResponse, RepositoryIndexRequest,
    RepositoryIndexResponse, RepositoryModelLoadRequest, RepositoryModelLoadResponse,
    RepositoryModelUnloadRequest, RepositoryModelUnloadResponse, ServerLiveRequest,
    ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest,
    ServerReadyResponse,
};
use super::{metadata, read, write};
use crate::http::answers::RequestTimings;
use crate::http::app::Answering;
use crate::http::change::apply_change;
use crate::http::problem::{Kind, Problem, grpc};
use crate::http::protocol::v2::request::InferRequest;
use crate::http::protocol::v2::{Address, run, signature};
use crate::http::{App, Server, origin};
use crate::pipeline::queue::{Deadline, RequestContext};
use crate::registry::{Control, Fallback, Version, Wanted};

/// The service; clones share the server.
#[derive(Debug, Clone)]
pub(super) struct Inference {
    server: Arc<Server>,
    address: Address,
}

impl Inference {
    pub(super) fn new(server: Arc<Server>, address: Address) -> Self {
        Self { server, address }
    }

    /// The model that a message names; the default model if it names none. `request_id` is that of a request for inference,
    /// which a canary or a cheaper model may answer; `None` if the message is about the model, as over REST.
    async fn app(
        &self,
        extensions: &Extensions,
        model: &str,
        version: &str,
        request_id: Option<&str>,
    ) -> Result<App, Problem> {
        let name = Some(model).filter(|name| !name.is_empty());
        let version = Some(version).filter(|version| !version.is_empty()).map(Version::new);
        let answering = extensions.get::<Answering>().cloned().unwrap_or_default();
        let fallback = request_id.map_or(Fallback::Off, |_| Fallback::Allowed);
        let wanted = Wanted { name, version: version.as_ref(), request_id, fallback };
        answering.with(&self.server, wanted).await
    }

    /// Rejects changes of models for requests to the public address.
    fn check_admin(&self, parameters: &[&String]) -> Result<(), Status> {
        if self.address == Address::Public {
            let detail =
                "models are loaded and unloaded on the server's admin address; send the call there";
            return Err(grpc::of(Problem::with_detail(Kind::MethodNotAllowed, detail)));
        }
        match parameters.iter().find(|name| ***name != "unload_dependents") {
            None => Ok(()),
            Some(name) => Err(grpc::of(Problem::invalid_parameter(format!(
                "the parameter {name:?} is not supported; change the files or the configuration of the model"
            )))),
        }
    }

    async fn infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Problem> {
        let limit = read::time_limit(request.metadata(), self.server.timeouts.request)?;
        let origin = origin::of(request.extensions());
        let (_, extensions, message) = request.into_parts();
        let (model, version) = (&message.model_name, &message.model_version);
        let app = self.app(&extensions, model, version, Some(&origin.request_id)).await?;
        // After an on-demand model is loaded, as over REST.
        let arrived = Deadline::after(limit);
        let form = write::TensorEncoding::of(&message);
        // Converting millions of floats takes too long for a thread that serves connections.
        let (reading, checking) = (app.clone(), app.clone());
        let bytes = read::bytes_to_convert(&message);
        let read = move || read::request(&reading, message);
        let request = self.server.shared.parse(bytes, read).await?;
        let bytes = request.bytes_to_convert();
        let check = move || InferRequest::read(&checking, request);
        let infer = self.server.shared.parse(bytes, check).await?;
        let deadline = infer.time_limit.map_or(arrived, |own| arrived.sooner(own));
        let context = RequestContext { origin, deadline };
        let answer = run::run(&app, infer, &context).await?;
        let spent = RequestTimings(answer.timings.as_slice().into());
        let mut response = Response::new(write::response(&app.model, answer, form));
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
        let ready = signature::server_ready(&self.server).is_ok();
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let (_, extensions, ModelReadyRequest { name, version }) = request.into_parts();
        let ready = match self.app(&extensions, &name, &version, None).await {
            Ok(app) => signature::ready(&app).is_ok(),
            Err(problem) if problem.kind() == Kind::NotReady => false,
            Err(problem) => return Err(grpc::of(problem)),
        };
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
        let (_, extensions, ModelMetadataRequest { name, version }) = request.into_parts();
        let app = self.app(&extensions, &name, &version, None).await.map_err(grpc::of)?;
        Ok(Response::new(metadata::model(&app)))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        self.infer(request).await.map_err(grpc::of)
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let (_, extensions, ModelConfigRequest { name, version }) = request.into_parts();
        let app = self.app(&extensions, &name, &version, None).await.map_err(grpc::of)?;
        Ok(Response::new(ModelConfigResponse { config: Some(metadata::config(&app)) }))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let (_, extensions, ModelStatisticsRequest { name, version }) = request.into_parts();
        let models = if name.is_empty() {
            self.server.registry.serving()
        } else {
            vec![self.app(&extensions, &name, &version, None).await.map_err(grpc::of)?.model]
        };
        Ok(Response::new(metadata::statistics(models.iter().map(|model| &**model))))
    }

    async fn repository_index(
        &self,
        _: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        Ok(Response::new(metadata::index(&self.server.registry)))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        let RepositoryModelLoadRequest { model_name, parameters, .. } = request.into_inner();
        self.check_admin(&parameters.keys().collect::<Vec<_>>())?;
        let load = move |control: &Control| control.load(&model_name);
        apply_change(&self.server, load).await.map_err(grpc::of)?;
        Ok(Response::new(RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        let RepositoryModelUnloadRequest { model_name, parameters, .. } = request.into_inner();
        self.check_admin(&parameters.keys().collect::<Vec<_>>())?;
        let unload = move |control: &Control| control.unload(&model_name);
        apply_change(&self.server, unload).await.map_err(grpc::of)?;
        Ok(Response::new(RepositoryModelUnloadResponse {}))
    }
}
