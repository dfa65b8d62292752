//! The options of `resnetd serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::{
    AccessArgs, LimitArgs, ModelArgs, ModelTable, ModelsArgs, TlsArgs, TraceArgs, UrlArgs,
    VertexArgs, listen_address,
};
use crate::http::Page;
use crate::telemetry::logs::LogFormat;

/// Options of `resnetd serve`.
#[derive(Debug, Clone, Args)]
#[expect(
    missing_docs,
    reason = "flattened groups are documented on their types; a doc comment would become help text"
)]
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

    /// Maximum number of images of a model in flight (being decoded, queued or running); further
    /// ones are answered 503
    ///
    /// A form with more images is processed in parts
    #[arg(long, env = "RESNETD_QUEUE_CAPACITY", default_value_t = 256, value_name = "N")]
    pub queue_capacity: usize,

    /// Maximum memory for uploads, decoded images, large headers and unsent responses
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

    /// Maximum number of open connections. A further one takes the place of one without a request; if
    /// there is none, it is answered 503 and closed
    #[arg(
        hide_short_help = true,
        long,
        env = "RESNETD_MAX_CONNECTIONS",
        default_value_t = 1024,
        value_name = "N"
    )]
    pub max_connections: usize,

    /// Minimum upload rate in bytes per second; uploads that are slower in each of five consecutive
    /// seconds are answered 408. 0 disables the check
    #[arg(
        hide_short_help = true,
        long,
        env = "RESNETD_MIN_UPLOAD_RATE",
        default_value = "1KiB",
        value_name = "SIZE"
    )]
    pub min_upload_rate: ByteSize,

    /// Host name to accept in the Host header, besides localhost and IP addresses (only loopback ones
    /// when listening on a loopback address); can be repeated. Default: any host, but only localhost
    /// and loopback addresses when listening on a loopback address
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

    /// After --drain-delay, wait at most this long for requests in flight; if some are open then,
    /// exit with status 1
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
    pub model: ModelArgs,

    #[command(flatten)]
    pub models: ModelsArgs,

    /// All values of `--model`, in order.
    #[arg(skip)]
    pub named_models: Vec<String>,

    /// The `[[model]]` tables of `--config`.
    #[arg(skip)]
    pub model_tables: Vec<ModelTable>,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub urls: UrlArgs,

    #[command(flatten)]
    pub access: AccessArgs,

    #[command(flatten)]
    pub tls: TlsArgs,

    #[command(flatten)]
    pub traces: TraceArgs,

    #[command(flatten)]
    pub vertex: VertexArgs,
}
