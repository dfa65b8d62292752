//! Options as typed become a configuration that is valid and resolved.

mod hub; // where models come from
mod model; // which one, on what
mod outside; // hosts that images come from, clouds that say where they ask

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use crate::fetch::{FetchPlan, Policy};
use crate::http::{AllowedHosts, ConnectionTimes, Drain, ListenPlan, Page, Timeouts, VertexRoutes};
use crate::pipeline::PipelinePlan;
use crate::pipeline::decode::Limits;
use crate::pipeline::preprocess::JpegScaling;
use crate::pipeline::queue::Ceiling;
use crate::pipeline::run::Device;
use crate::telemetry::logs::LogFormat;
pub use hub::HubArgs;
pub use model::{Calibrated, Concurrency, ModelArgs};
pub use outside::{UrlArgs, VertexArgs};

/// What one upload may cost.
#[derive(Debug, Clone, Args)]
pub struct LimitArgs {
    /// The largest upload, in bytes
    #[arg(long, env = "RESNETD_MAX_BYTES", default_value = "20MiB", value_name = "SIZE")]
    pub max_bytes: ByteSize,

    /// The largest image, in pixels, told from its header
    #[arg(long, env = "RESNETD_MAX_PIXELS", default_value_t = 50_000_000, value_name = "N")]
    pub max_pixels: u64,
}

/// Everything about the server.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Options from a file, as `resnetd tune` writes it: TOML, each by its name. The environment and
    /// the command line have the last word
    #[arg(long, env = "RESNETD_CONFIG", value_name = "TOML")]
    pub config: Option<PathBuf>,

    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "RESNETD_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,

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
    pub limits: LimitArgs,

    /// How long the first image of a batch may wait for others; worth it only on a GPU
    #[arg(long, env = "RESNETD_MAX_WAIT", default_value = "0ms", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub max_wait: Duration,

    /// Images that may be inside at once; one more is answered 503
    #[arg(long, env = "RESNETD_QUEUE_CAPACITY", default_value_t = 256, value_name = "N")]
    pub queue_capacity: usize,

    /// Bytes of uploads and decoded images that may be held at once; more is answered 503
    #[arg(long, env = "RESNETD_MEMORY_LIMIT", default_value = "1GiB", value_name = "SIZE")]
    pub memory_limit: ByteSize,

    /// How long a request may take once its upload is here; X-Request-Timeout-Ms shortens it
    #[arg(long, env = "RESNETD_REQUEST_TIMEOUT", default_value = "10s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub request_timeout: Duration,

    /// How long a client may take to send a request's headers, and be idle between requests
    #[arg(long, env = "RESNETD_HEADER_TIMEOUT", default_value = "30s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub header_timeout: Duration,

    /// How long a client may take nothing of its answer before its connection is closed
    #[arg(long, env = "RESNETD_WRITE_TIMEOUT", default_value = "30s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub write_timeout: Duration,

    /// Connections that may be open at once; one more is answered 503 and closed
    #[arg(long, env = "RESNETD_MAX_CONNECTIONS", default_value_t = 1024, value_name = "N")]
    pub max_connections: usize,

    /// Bytes per second at which an upload has to arrive, measured over 5 seconds; else it is answered 408. 0
    /// sets no minimum
    #[arg(long, env = "RESNETD_MIN_UPLOAD_RATE", default_value = "1KiB", value_name = "SIZE")]
    pub min_upload_rate: ByteSize,

    /// Another host name that requests may be for; repeat it for several. Without it every host is answered,
    /// except where the server listens on a loopback address: then only localhost and loopback addresses
    #[arg(
        long = "allow-host",
        env = "RESNETD_ALLOW_HOST",
        value_delimiter = ',',
        value_name = "HOST"
    )]
    pub allow_hosts: Vec<String>,

    /// How long a client may take to send its upload
    #[arg(long, env = "RESNETD_BODY_TIMEOUT", default_value = "30s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub body_timeout: Duration,

    /// A worker that is busy with one batch for longer counts as stuck: /readyz answers 503 until the worker is
    /// replaced
    #[arg(long, env = "RESNETD_STUCK_AFTER", default_value = "60s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub stuck_after: Duration,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on its type; a doc comment would become help text"
    )]
    pub urls: UrlArgs,

    /// After SIGTERM, keep serving this long with readiness off, so that balancers notice
    #[arg(long, env = "RESNETD_DRAIN_DELAY", default_value = "1s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub drain_delay: Duration,

    /// Then wait this long for requests that are being answered
    #[arg(long, env = "RESNETD_DRAIN_TIMEOUT", default_value = "30s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub drain_timeout: Duration,

    /// Whether GET / answers a page for people
    #[arg(long, env = "RESNETD_PAGE", default_value = "on", value_enum, value_name = "ON|OFF")]
    pub page: Page,

    #[command(flatten)]
    #[expect(
        missing_docs,
        reason = "documented on its type; a doc comment would become help text"
    )]
    pub vertex: VertexArgs,

    /// Which log lines to write, as in info or resnetd=debug,warn
    #[arg(long, env = "RESNETD_LOG", default_value = "info,ort=warn", value_name = "FILTER")]
    pub log: String,

    /// How to write them: auto is text on a terminal and JSON elsewhere
    #[arg(
        long,
        env = "RESNETD_LOG_FORMAT",
        default_value = "auto",
        value_enum,
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,
}

/// Far longer than anybody waits, far shorter than what the clock can count.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Options that cannot hold together; every one is named at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(Vec<String>);

/// A server's configuration: valid, nothing left to decide but the device.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to bind.
    pub listen: SocketAddr,
    /// Sessions, threads, batch.
    pub concurrency: Concurrency,
    /// What an upload may cost.
    pub limits: Limits,
    /// Whether large JPEGs are decoded at a part of their size.
    pub jpeg_scaling: JpegScaling,
    /// What may be inside at once.
    pub ceiling: Ceiling,
    /// How long the first image of a batch waits for others.
    pub max_wait: Duration,
    /// A worker that is busy with one batch for longer is replaced.
    pub stuck_after: Duration,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What connections may take.
    pub connections: ListenPlan,
    /// Which hosts requests may be for.
    pub hosts: AllowedHosts,
    /// How it ends.
    pub drain: Drain,
    /// Whether there is a page.
    pub page: Page,
    /// Which images may be fetched, if any.
    pub urls: Option<(Policy, FetchPlan)>,
    /// Where Vertex AI asks.
    pub vertex: VertexRoutes,
}

/// The cores this process may use: affinity and container limits heeded.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl LimitArgs {
    /// The limits for decoding.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let max_bytes = usize::try_from(self.max_bytes.as_u64()).unwrap_or(usize::MAX);
        Limits { max_bytes, max_pixels: self.max_pixels }
    }
}

impl Config {
    /// Checks everything and resolves every default for a machine with `cores`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names every option that is wrong and what would be right.
    pub fn resolve(args: &ServeArgs, cores: usize) -> Result<Self, ConfigError> {
        let mut wrong = Vec::new();
        let concurrency = args.model.concurrency(cores).unwrap_or_else(|ConfigError(more)| {
            wrong.extend(more);
            Concurrency::ONE
        });
        let limits = args.limits.limits();
        let ceiling = Ceiling { images: args.queue_capacity, bytes: args.memory_limit.as_u64() };
        if let Some(max_batch) = args.model.max_batch.filter(|&most| ceiling.images < most) {
            wrong.push(format!(
                "--queue-capacity {} is less than --max-batch {max_batch}; a batch could never be full",
                ceiling.images
            ));
        }
        if ceiling.bytes < limits.largest_cost() {
            wrong.push(format!(
                "--memory-limit {} cannot hold one upload of --max-bytes and --max-pixels, which \
                 takes up to {}; raise the first or lower the others",
                args.memory_limit,
                ByteSize(limits.largest_cost())
            ));
        }
        check_times(args, &mut wrong);
        let urls = args.urls.resolve(ceiling.images, &mut wrong);
        let vertex = args.vertex.routes(&mut wrong);
        let listen = args.vertex.listen(args.listen);
        let hosts = AllowedHosts::new(&args.allow_hosts, listen.ip()).unwrap_or_else(|error| {
            wrong.push(error.to_string());
            AllowedHosts::any()
        });
        check_counts(args, &mut wrong);
        if !wrong.is_empty() {
            return Err(ConfigError(wrong));
        }
        Ok(Self {
            listen,
            concurrency,
            limits,
            jpeg_scaling: args.model.jpeg_scaling,
            ceiling,
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
        })
    }

    /// How the pipeline uses the machine where the network runs on `device`.
    #[must_use]
    pub fn pipeline(&self, device: Device) -> PipelinePlan {
        let Self { concurrency, limits, jpeg_scaling, ceiling, max_wait, stuck_after, .. } = *self;
        PipelinePlan {
            limits,
            jpeg_scaling,
            ceiling,
            batch: concurrency.batch(device, max_wait),
            decoding: concurrency.decoding(device),
            stuck_after,
        }
    }
}

/// That there may be an image, and a connection.
fn check_counts(args: &ServeArgs, wrong: &mut Vec<String>) {
    if args.queue_capacity == 0 {
        wrong
            .push("--queue-capacity is 0; every image would be refused; use at least 1".to_owned());
    }
    if args.max_connections == 0 {
        wrong.push("--max-connections is 0; nobody could connect; use at least 1".to_owned());
    }
}

/// That every time limit is one.
fn check_times(args: &ServeArgs, wrong: &mut Vec<String>) {
    for (option, duration) in [
        ("--request-timeout", args.request_timeout),
        ("--header-timeout", args.header_timeout),
        ("--body-timeout", args.body_timeout),
        ("--write-timeout", args.write_timeout),
        ("--stuck-after", args.stuck_after),
    ] {
        if duration.is_zero() {
            wrong.push(format!("{option} is 0; every request would fail"));
        }
        if duration > A_DAY {
            wrong.push(format!("{option} is more than a day; nobody waits that long"));
        }
    }
    if args.max_wait >= args.request_timeout {
        wrong.push(
            "--max-wait is not less than --request-timeout; batches would form too late".to_owned(),
        );
    }
}
