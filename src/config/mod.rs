//! Command-line options, and the validated configuration.

mod access; // API keys and limits of clients
mod checks; // checks of options
mod hub; // the Hugging Face hub
mod limits; // one upload
mod listen; // the address of --listen
mod model; // a model, its device and its sessions
mod models; // several models
mod model_spec; // a model to serve
mod model_table; // [[model]] tables
mod urls; // images by URL
mod vertex; // Vertex AI
mod tls; // certificates
mod traces; // spans for a collector
mod serve; // all options of `serve`
mod specs; // the models of `serve`

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::device::Device;
use crate::fetch::{FetchPlan, UrlPolicy};
use crate::http::{
    AccessPlan, AllowedHosts, Certificates, ConnectionTimes, Drain, ListenPlan, Page, Timeouts,
    VertexRoutes,
};
use crate::pipeline::PipelinePlan;
use crate::pipeline::decode::Limits;
use crate::pipeline::preprocess::JpegScaling;
use crate::telemetry::TracePlan;
pub use access::AccessArgs;
pub use hub::HubArgs;
pub use limits::LimitArgs;
pub use listen::listen_address;
pub use model::{Calibrated, Concurrency, ModelArgs};
pub use model_spec::ModelSpec;
pub use model_table::ModelTable;
pub use models::{ModelControl, ModelsArgs};
pub use serve::ServeArgs;
pub use tls::TlsArgs;
pub use traces::TraceArgs;
pub use urls::UrlArgs;
pub use vertex::VertexArgs;

/// All invalid or conflicting options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(Vec<String>);

/// A server's validated configuration, except for the device.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to bind.
    pub listen: SocketAddr,
    /// Address for changes to the models, if any.
    pub admin_listen: Option<SocketAddr>,
    /// The models to serve, without those of the repository.
    pub models: Vec<ModelSpec>,
    /// Limits for one upload.
    pub limits: Limits,
    /// Whether large JPEGs are decoded at reduced size.
    pub jpeg_scaling: JpegScaling,
    /// Maximum number of images of one model in flight.
    pub queue_capacity: usize,
    /// Maximum memory of uploads, decoded images, large headers and unsent responses, in bytes, for all models.
    pub memory_limit: u64,
    /// Maximum time that the first image of a batch waits for others.
    pub max_wait: Duration,
    /// A worker that is busy with one batch for longer is replaced.
    pub stuck_after: Duration,
    /// Time limits for requests.
    pub timeouts: Timeouts,
    /// Limits for connections.
    pub connections: ListenPlan,
    /// Allowed host names.
    pub hosts: AllowedHosts,
    /// Time limits of the shutdown.
    pub drain: Drain,
    /// Whether the web page is served.
    pub page: Page,
    /// Hosts from which images are fetched by URL; `None` if URLs are disabled.
    pub urls: Option<(UrlPolicy, FetchPlan)>,
    /// Additional routes for Vertex AI.
    pub vertex: VertexRoutes,
    /// API keys and limits of clients.
    pub access: AccessPlan,
    /// The TLS certificates; `None` without TLS.
    pub tls: Option<Arc<Certificates>>,
    /// The collector of spans; `None` if requests are not traced.
    pub traces: Option<TracePlan>,
}

/// Number of cores that this process may use, considering CPU affinity and container limits.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Config {
    /// Validates all options, and resolves the defaults for this machine.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with all invalid options and their valid values.
    pub fn resolve(args: &ServeArgs) -> Result<Self, ConfigError> {
        let mut wrong = Vec::new();
        if let Err(ConfigError(more)) = args.model.concurrency(cores()) {
            wrong.extend(more);
        }
        let models = args.specs().unwrap_or_else(|ConfigError(more)| {
            // Each model repeats the errors of options for all models.
            let new: Vec<_> = more.into_iter().filter(|error| !wrong.contains(error)).collect();
            wrong.extend(new);
            Vec::new()
        });
        let limits = args.limits.limits();
        let (queue_capacity, memory_limit) = (args.queue_capacity, args.memory_limit.as_u64());
        checks::check(args, limits, &mut wrong);
        let urls = args.urls.resolve(queue_capacity, &mut wrong);
        let vertex = args.vertex.routes(&mut wrong);
        let access = args.access.resolve(vertex.health(), &mut wrong);
        let tls = args.tls.resolve(&mut wrong);
        let traces = args.traces.resolve(&mut wrong);
        let listen = args.vertex.listen(args.listen);
        let hosts = AllowedHosts::new(&args.allow_hosts, listen.ip()).unwrap_or_else(|error| {
            wrong.push(error.to_string());
            AllowedHosts::any()
        });
        if !wrong.is_empty() {
            return Err(ConfigError(wrong));
        }
        Ok(Self {
            listen,
            admin_listen: args.admin_listen,
            models,
            limits,
            jpeg_scaling: args.model.jpeg_scaling,
            queue_capacity,
            memory_limit,
            max_wait: args.max_wait,
            stuck_after: args.stuck_after,
            timeouts: Timeouts {
                request: args.request_timeout,
                body: args.body_timeout,
                min_upload_rate: args.min_upload_rate.as_u64(),
            },
            connections: ListenPlan {
                times: ConnectionTimes { header: args.header_timeout, write: args.write_timeout },
                max_connections: args.max_connections,
            },
            hosts,
            drain: Drain { delay: args.drain_delay, timeout: args.drain_timeout },
            page: args.page,
            urls,
            vertex,
            access,
            tls,
            traces,
        })
    }

    /// The configuration of a pipeline for a model on `device`.
    #[must_use]
    pub fn pipeline(&self, concurrency: Concurrency, device: Device) -> PipelinePlan {
        let Self { limits, jpeg_scaling, queue_capacity, max_wait, stuck_after, .. } = *self;
        PipelinePlan {
            limits,
            jpeg_scaling,
            queue_capacity,
            batch: concurrency.batch(device, max_wait),
            decoding: concurrency.decoding(device),
            stuck_after,
        }
    }
}
