//! The state of the server, and of one request: the model that its path names.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::Timeouts;
use super::health::Readiness;
use super::hosts::AllowedHosts;
use super::page::Page;
use super::problem::Problem;
use super::protocol::VertexRoutes;
use super::shared::Shared;
use crate::fetch::Fetcher;
use crate::pipeline::queue::Memory;
use crate::registry::{Control, NoModel, Registry, Served, Version};
use crate::telemetry::Metrics;

/// What all models and requests share.
#[derive(Debug)]
pub struct Server {
    /// The models.
    pub registry: Arc<Registry>,
    /// Changes the models; `None` if they never change.
    pub control: Option<Arc<Control>>,
    /// Memory for uploads, decoded images and unsent responses.
    pub memory: Arc<Memory>,
    /// The metrics of the process.
    pub metrics: Arc<Metrics>,
    /// The state for readiness probes.
    pub readiness: Arc<Readiness>,
    /// Permits for parsing, and the state of the log.
    pub shared: Arc<Shared>,
    /// How long a request may take.
    pub timeouts: Timeouts,
    /// Whether the web page is served.
    pub page: Page,
    /// Fetches images by URL, if enabled.
    pub urls: Option<Arc<Fetcher>>,
    /// Routes for Vertex AI.
    pub vertex: VertexRoutes,
    /// The hosts that requests may name.
    pub hosts: AllowedHosts,
    /// The largest upload, in bytes.
    pub max_bytes: usize,
}

/// One request: the server, and the model that answers it.
///
/// As an argument of a handler, it is the model that the path names: `{model}`, `{model}/{name}` for a
/// name with a slash, and `{version}`. A path without a model is of the default model.
#[derive(Debug, Clone)]
pub struct App {
    /// What all requests share.
    pub server: Arc<Server>,
    /// The model.
    pub model: Arc<Served>,
}

/// A request's extension that learns which model answered it, for the response's headers and the log.
#[derive(Debug, Clone, Default)]
pub(super) struct Answering(Arc<Mutex<Option<Arc<Served>>>>);

impl Answering {
    pub(super) fn model(&self) -> Option<Arc<Served>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks the model up, for this request. A model that is loaded on demand is loaded, within the time limit
    /// of requests.
    pub(super) async fn with(
        &self,
        server: &Arc<Server>,
        name: Option<&str>,
        version: Option<&Version>,
    ) -> Result<App, Problem> {
        let model = match (server.registry.find(name, version), &server.control) {
            (Err(NoModel::OnDemand { name }), Some(control)) => {
                let limit = server.timeouts.request;
                let loading = Arc::clone(control).demand(name, version.cloned());
                tokio::time::timeout(limit, loading)
                    .await
                    .map_err(|_| Problem::not_ready("the model is still being loaded"))??
            }
            (found, _) => found?,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&model));
        Ok(App { server: Arc::clone(server), model })
    }
}

impl FromRequestParts<Arc<Server>> for App {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        server: &Arc<Server>,
    ) -> Result<Self, Self::Rejection> {
        let named = Named::of(parts, server).await?;
        let answering = parts.extensions.get::<Answering>().cloned().unwrap_or_default();
        answering.with(server, named.name.as_deref(), named.version.as_ref()).await
    }
}

/// The model and the version that a path names.
#[derive(Debug, Default)]
struct Named {
    name: Option<String>,
    version: Option<Version>,
}

impl Named {
    async fn of(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, Problem> {
        let path = parts.uri.path().to_owned();
        let parameters = RawPathParams::from_request_parts(parts, server)
            .await
            .map_err(|_| Problem::not_found(&path))?;
        let mut named = Self::default();
        for (parameter, value) in &parameters {
            // KServe v1 and TensorFlow Serving write `{model}:predict`.
            let value = value.strip_suffix(":predict").unwrap_or(value);
            match parameter {
                "model" => named.name = Some(value.to_owned()),
                "name" => named.name = named.name.map(|first| format!("{first}/{value}")),
                "version" => named.version = Some(Version::new(value)),
                _ => {}
            }
        }
        Ok(named.split(&server.registry))
    }

    /// The name `pets/2` is of version 2 of the model `pets`, unless a model has that name.
    fn split(self, registry: &Registry) -> Self {
        let Self { name: Some(name), version: None } = &self else { return self };
        if registry.knows(name) {
            return self;
        }
        let parts = name.rsplit_once("/versions/").or_else(|| name.rsplit_once('/'));
        match parts.filter(|(model, _)| registry.knows(model)) {
            Some((model, version)) => {
                Self { name: Some(model.to_owned()), version: Some(Version::new(version)) }
            }
            None => self,
        }
    }
}
