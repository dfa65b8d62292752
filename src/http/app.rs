//! The state of the server, and of a request with its model.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use clap::ValueEnum;

use super::access::Access;
use super::hosts::AllowedHosts;
use super::phase::ServerPhase;
use super::problem::Problem;
use super::shared::Shared;
use super::vertex_routes::VertexRoutes;
use super::{Timeouts, origin};
use crate::fetch::Fetcher;
use crate::pipeline::queue::{Memory, Rejected, Reservation};
use crate::registry::{Choice, Control, Fallback, NoModel, Registry, Served, Version, Wanted};
use crate::telemetry::{Metrics, Reason, Traces};

/// Whether the web page is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// Serve the page at / and the API documentation at /docs.
    On,
    /// Answer / and /docs with 404.
    Off,
}

/// State that all requests share.
#[derive(Debug)]
pub struct Server {
    /// The models.
    pub registry: Arc<Registry>,
    /// Changes the models; `None` if they cannot change.
    pub control: Option<Arc<Control>>,
    /// Memory for uploads, decoded images, large headers and unsent responses.
    pub memory: Arc<Memory>,
    /// The metrics of the process.
    pub metrics: Arc<Metrics>,
    /// Whether the server is shutting down.
    pub phase: Arc<ServerPhase>,
    /// Permits for parsing, and the state of the log.
    pub shared: Arc<Shared>,
    /// Time limits of requests.
    pub timeouts: Timeouts,
    /// Whether the web page is served.
    pub page: Page,
    /// Fetches images by URL, if enabled.
    pub urls: Option<Arc<Fetcher>>,
    /// Routes for Vertex AI.
    pub vertex: VertexRoutes,
    /// The allowed hosts.
    pub hosts: AllowedHosts,
    /// API keys and limits of clients.
    pub access: Arc<Access>,
    /// Sends spans, if requests are traced.
    pub traces: Option<Arc<Traces>>,
    /// Maximum size of an upload, in bytes.
    pub max_bytes: usize,
}

impl Server {
    /// Reserves `bytes` for a request whose model is not known yet. Rejections are counted.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Reservation, Rejected> {
        let reserved = self.memory.reserve(bytes as u64);
        reserved.inspect_err(|rejected| self.metrics.rejected(rejected.reason()))
    }

    /// Counts rejections of a request whose model is not known yet.
    pub(super) fn counting(&self) -> impl Fn(Reason) + Send + 'static {
        let metrics = Arc::clone(&self.metrics);
        move |reason| metrics.rejected(reason)
    }
}

/// A request: the server, and the model that answers.
///
/// As an argument of a handler, it looks up the model in the path: `{model}`, `{model}/{name}` for a name
/// with a slash, and `{version}`. Without a model in the path, it is the default model.
#[derive(Debug, Clone)]
pub struct App {
    /// The state that all requests share.
    pub server: Arc<Server>,
    /// The model.
    pub model: Arc<Served>,
    /// The requested model, if another one answers because of overload.
    pub instead_of: Option<Arc<str>>,
}

/// An extension of the request that records which model answers, for the response's headers and the log.
#[derive(Debug, Clone, Default)]
pub(super) struct Answering(Arc<Mutex<Option<Choice>>>);

impl Answering {
    pub(super) fn choice(&self) -> Option<Choice> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks up the model of this request. An on-demand model is loaded first, within the time limit of
    /// requests.
    pub(super) async fn with(
        &self,
        server: &Arc<Server>,
        wanted: Wanted<'_>,
    ) -> Result<App, Problem> {
        let choice = match (server.registry.choose(wanted), &server.control) {
            (Err(NoModel::OnDemand { name, version }), Some(control)) => {
                let limit = server.timeouts.request;
                let loading = Arc::clone(control).demand(name.clone(), version);
                let loaded = tokio::time::timeout(limit, loading)
                    .await
                    .unwrap_or(Err(NoModel::Loading { name }));
                loaded.map(Choice::of)
            }
            (found, _) => found,
        };
        let choice = choice.inspect_err(|error| {
            if let NoModel::Loading { name }
            | NoModel::Unavailable { name, .. }
            | NoModel::OnDemand { name, .. } = error
            {
                server.metrics.model_not_ready(name);
            }
        })?;
        choice.model.used.now();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(choice.clone());
        let Choice { model, instead_of, .. } = choice;
        Ok(App { server: Arc::clone(server), model, instead_of })
    }
}

impl FromRequestParts<Arc<Server>> for App {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        server: &Arc<Server>,
    ) -> Result<Self, Self::Rejection> {
        let named = ModelPath::of(parts, server).await?;
        let answering = parts.extensions.get::<Answering>().cloned().unwrap_or_default();
        let origin = origin::of(&parts.extensions);
        let (fallback, request_id) = match parts.method {
            Method::POST | Method::PUT => (take_fallback(parts)?, Some(&*origin.request_id)),
            _ => (Fallback::Off, None),
        };
        let wanted = Wanted {
            name: named.name.as_deref(),
            version: named.version.as_ref(),
            request_id,
            fallback,
        };
        answering.with(server, wanted).await
    }
}

/// Removes `fallback` from the query; the handler reads the other parameters.
fn take_fallback(parts: &mut Parts) -> Result<Fallback, Problem> {
    let query = parts.uri.query().unwrap_or_default();
    let is_ours = |pair: &&str| pair.split('=').next() == Some("fallback");
    let Some(pair) = query.split('&').find(is_ours) else { return Ok(Fallback::Allowed) };
    let fallback = match pair {
        "fallback=off" => Fallback::Off,
        "fallback=on" => Fallback::Allowed,
        other => {
            return Err(Problem::invalid_parameter(format!(
                "{other:?} is invalid; use fallback=on or fallback=off"
            )));
        }
    };
    let rest: Vec<_> = query.split('&').filter(|pair| !is_ours(pair)).collect();
    let path = parts.uri.path();
    let whole =
        if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = whole.parse().ok();
    if let Ok(uri) = Uri::from_parts(uri) {
        parts.uri = uri;
    }
    Ok(fallback)
}

/// The model and the version in a path.
#[derive(Debug, Default)]
struct ModelPath {
    name: Option<String>,
    version: Option<Version>,
}

impl ModelPath {
    async fn of(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, Problem> {
        let Ok(parameters) = RawPathParams::from_request_parts(parts, server).await else {
            return Err(Problem::not_found(parts.uri.path()));
        };
        let mut named = Self::default();
        for (parameter, value) in &parameters {
            // KServe v1 and TensorFlow Serving use `{model}:predict`.
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

    /// Splits a name such as `pets/2` into model and version, unless a model has that name.
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
