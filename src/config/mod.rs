//! Command-line options, and the validated configuration.

mod access; // API keys and limits of clients
mod checks; // checks of options
mod hub; // the Hugging Face hub
mod listen; // the address of --listen
mod model; // a model, its device and its sessions
mod models; // several models
mod model_table; // [[model]] tables
mod urls; // images by URL
mod vertex; // Vertex AI
mod tls; // certificates
mod traces; // spans for a collector

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use crate::device::Device;
use crate::fetch::{FetchPlan, Policy};
use crate::http::{
    AccessPlan, AllowedHosts, Certificates, ConnectionTimes, Drain, ListenPlan, Page, Timeouts,
    VertexRoutes,
};
use crate::pipeline::PipelinePlan;
use crate::pipeline::decode::{Format, Formats, Limits};
use crate::pipeline::preprocess::JpegScaling;
use crate::telemetry::TracePlan;
use crate::telemetry::logs::LogFormat;
pub use access::AccessArgs;
pub use hub::HubArgs;
pub use listen::listen_address;
pub use model::{Calibrated, Concurrency, ModelArgs};
pub use model_table::ModelTable;
pub use models::{ModelControl, ModelSpec, ModelsArgs};
pub use tls::TlsArgs;
pub use traces::TraceArgs;
pub use urls::UrlArgs;
pub use vertex::VertexArgs;

/// Limits for one upload.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits for images")]
pub struct LimitArgs {
    /// The largest upload, in bytes
    #[arg(long, env = "RESNETD_MAX_BYTES", default_value = "20MiB", value_name = "SIZE")]
    pub max_bytes: ByteSize,

    /// The largest image, in pixels (width × height, read from the header)
    #[arg(long, env = "RESNETD_MAX_PIXELS", default_value_t = 50_000_000, value_name = "N")]
    pub max_pixels: u64,

    /// The image formats that are accepted, such as jpeg,png; others are answered 415 [default: all]
    #[arg(
        long,
        env = "RESNETD_FORMATS",
        value_delimiter = ',',
        value_parser = format,
        value_name = "FORMAT,..."
    )]
    pub formats: Vec<Format>,
}

/// Options of `resnetd serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// TOML file with options of `serve`, each by its long name
    ///
    /// `resnetd tune` writes such a file. Environment variables and command-line options take
    /// precedence
    #[arg(long, env = "RESNETD_CONFIG", value_name = "TOML")]
    pub config: Option<PathBuf>,

    /// Address or name, and port to listen on
    ///
    /// A port alone listens on 127.0.0.1, and :PORT on all IPv4 addresses of this machine. Port 0
    /// chooses a free port
    #[arg(long, env = "RESNETD_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT", value_parser = listen_address)]
    pub listen: SocketAddr,

    /// Address and port for everything that changes the server: loading and unloading models; also serves
    /// the metrics. Off by default; use a loopback or private address
    #[arg(long, env = "RESNETD_ADMIN_LISTEN", value_name = "ADDRESS:PORT", value_parser = listen_address)]
    pub admin_listen: Option<SocketAddr>,

    /// How long the first image of a batch may wait for others; useful on a GPU only
    #[arg(hide_short_help = true, long, env = "RESNETD_MAX_WAIT", default_value = "0ms", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub max_wait: Duration,

    /// Maximum number of images in flight; further ones are answered 503
    #[arg(long, env = "RESNETD_QUEUE_CAPACITY", default_value_t = 256, value_name = "N")]
    pub queue_capacity: usize,

    /// Maximum memory for uploads and decoded images in flight
    ///
    /// Requests that exceed it are answered 503
    #[arg(long, env = "RESNETD_MEMORY_LIMIT", default_value = "1GiB", value_name = "SIZE")]
    pub memory_limit: ByteSize,

    /// Time limit for a request after its upload is complete
    ///
    /// The header X-Request-Timeout-Ms can shorten it
    #[arg(long, env = "RESNETD_REQUEST_TIMEOUT", default_value = "10s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub request_timeout: Duration,

    /// Time limit for receiving a request's headers, and for idle connections
    #[arg(hide_short_help = true, long, env = "RESNETD_HEADER_TIMEOUT", default_value = "30s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub header_timeout: Duration,

    /// Close a connection whose client reads nothing of its response for this long
    #[arg(hide_short_help = true, long, env = "RESNETD_WRITE_TIMEOUT", default_value = "30s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub write_timeout: Duration,

    /// Maximum number of open connections; further ones are answered 503 and closed
    #[arg(
        hide_short_help = true,
        long,
        env = "RESNETD_MAX_CONNECTIONS",
        default_value_t = 1024,
        value_name = "N"
    )]
    pub max_connections: usize,

    /// Minimum upload rate in bytes per second, measured over 5 seconds; slower uploads are
    /// answered 408. 0 disables the check
    #[arg(
        hide_short_help = true,
        long,
        env = "RESNETD_MIN_UPLOAD_RATE",
        default_value = "1KiB",
        value_name = "SIZE"
    )]
    pub min_upload_rate: ByteSize,

    /// Host name to accept in the Host header, besides localhost and IP addresses; can be repeated.
    /// Default: any host, but only localhost and loopback addresses when listening on a loopback
    /// address
    #[arg(
        hide_short_help = true,
        long = "allow-host",
        env = "RESNETD_ALLOW_HOST",
        value_delimiter = ',',
        value_name = "HOST"
    )]
    pub allow_hosts: Vec<String>,

    /// Time limit for receiving an upload
    #[arg(hide_short_help = true, long, env = "RESNETD_BODY_TIMEOUT", default_value = "30s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub body_timeout: Duration,

    /// Treat a worker as stuck after this long in one batch: /readyz answers 503 until the worker
    /// is replaced
    #[arg(hide_short_help = true, long, env = "RESNETD_STUCK_AFTER", default_value = "60s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub stuck_after: Duration,

    /// After SIGTERM, keep serving this long while /readyz answers 503, so that load balancers
    /// notice
    #[arg(hide_short_help = true, long, env = "RESNETD_DRAIN_DELAY", default_value = "1s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub drain_delay: Duration,

    /// After that, wait this long for requests in flight
    #[arg(hide_short_help = true, long, env = "RESNETD_DRAIN_TIMEOUT", default_value = "25s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub drain_timeout: Duration,

    /// Serve the web page at / and the API documentation at /docs
    #[arg(
        hide_short_help = true,
        long,
        env = "RESNETD_PAGE",
        default_value = "on",
        value_enum,
        value_name = "ON|OFF"
    )]
    pub page: Page,

    /// Log filter, such as info or resnetd=debug,warn
    #[arg(long, env = "RESNETD_LOG", default_value = "info,ort=warn", value_name = "FILTER")]
    pub log: String,

    /// Log format
    #[arg(
        hide_short_help = true,
        long,
        env = "RESNETD_LOG_FORMAT",
        default_value = "auto",
        value_enum,
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,

    // The groups are last, because options after a group would be listed under its heading.
    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on its type; a doc comment would become help text"
    )]
    pub model: ModelArgs,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on its type; a doc comment would become help text"
    )]
    pub models: ModelsArgs,

    /// All values of `--model`, in order.
    #[arg(skip)]
    pub named_models: Vec<String>,

    /// The `[[model]]` tables of `--config`.
    #[arg(skip)]
    pub model_tables: Vec<ModelTable>,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on its type; a doc comment would become help text"
    )]
    pub limits: LimitArgs,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on its type; a doc comment would become help text"
    )]
    pub urls: UrlArgs,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on its type; a doc comment would become help text"
    )]
    pub access: AccessArgs,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on its type; a doc comment would become help text"
    )]
    pub tls: TlsArgs,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on its type; a doc comment would become help text"
    )]
    pub traces: TraceArgs,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on its type; a doc comment would become help text"
    )]
    pub vertex: VertexArgs,
}

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
    /// Maximum memory of uploads and decoded images in flight, in bytes, for all models.
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
    pub urls: Option<(Policy, FetchPlan)>,
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

/// Parses the name of a format.
fn format(text: &str) -> Result<Format, String> {
    let found = Format::ALL.into_iter().find(|format| format.to_string() == text);
    found.ok_or_else(|| format!("{text:?} is not a supported format; use some of {}", Formats::ALL))
}

impl LimitArgs {
    /// The limits for decoding.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let max_bytes = usize::try_from(self.max_bytes.as_u64()).unwrap_or(usize::MAX);
        Limits { max_bytes, max_pixels: self.max_pixels, formats: Formats::of(&self.formats) }
    }
}

impl Config {
    /// Validates all options, and resolves the defaults for a machine with `cores`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with all invalid options and their valid values.
    pub fn resolve(args: &ServeArgs, cores: usize) -> Result<Self, ConfigError> {
        let mut wrong = Vec::new();
        if let Err(ConfigError(more)) = args.model.concurrency(cores) {
            wrong.extend(more);
        }
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
        let models = args.specs()?;
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
