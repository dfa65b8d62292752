//! Options for API keys and limits of clients.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use ipnet::IpNet;

use crate::http::{
    AccessPlan, AllowedOrigin, ForwardedHeader, KeyRing, OpenMetrics, Proxies, Rate,
};

/// API keys and limits of clients.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Clients")]
pub struct AccessArgs {
    /// File with the accepted API keys, one line NAME:SHA256 each; `resnetd api-key NAME` generates one.
    /// Requests then need a key; health probes, the web page and the API's documentation do not. The
    /// file is read again when it changes. See docs/security.md
    #[arg(long, env = "RESNETD_API_KEYS", value_name = "FILE")]
    pub api_keys: Option<PathBuf>,

    /// Whether /metrics answers without an API key
    #[arg(
        long,
        hide_short_help = true,
        env = "RESNETD_OPEN_METRICS",
        default_value = "off",
        value_enum,
        value_name = "ON|OFF"
    )]
    pub open_metrics: OpenMetrics,

    /// Maximum rate of requests of each client (an API key, or an address without keys), such as 20 (per
    /// second), 100/m or 1000/h; further ones are answered 429 [default: none]
    #[arg(long, env = "RESNETD_RATE_LIMIT", value_name = "N[/s|m|h]")]
    pub rate_limit: Option<Rate>,

    /// Maximum number of images of each client in flight, for each model; further ones are answered
    /// 429 [default: none]
    #[arg(long, hide_short_help = true, env = "RESNETD_MAX_CLIENT_IMAGES", value_name = "N")]
    pub max_client_images: Option<usize>,

    /// Origins whose web pages may use the server from a browser (CORS), such as
    /// https://photos.example.org; * for every origin [default: none]
    #[expect(clippy::doc_markdown, rustdoc::bare_urls, reason = "help text is not Markdown")]
    #[arg(
        long = "cors-allow-origin",
        env = "RESNETD_CORS_ALLOW_ORIGIN",
        value_delimiter = ',',
        value_name = "ORIGIN,..."
    )]
    pub cors_allow_origins: Vec<AllowedOrigin>,

    /// Networks of reverse proxies, such as 10.0.0.0/8, whose header for the client's address is trusted
    #[arg(
        long,
        hide_short_help = true,
        env = "RESNETD_TRUST_FORWARDED",
        value_delimiter = ',',
        value_name = "NETWORK,..."
    )]
    pub trust_forwarded: Vec<IpNet>,

    /// The header in which the proxies of --trust-forwarded put the client's address: x-forwarded-for
    /// or forwarded
    #[arg(
        long,
        hide_short_help = true,
        env = "RESNETD_FORWARDED_HEADER",
        default_value = "x-forwarded-for",
        value_enum,
        value_name = "HEADER"
    )]
    pub forwarded_header: ForwardedHeader,
}

impl AccessArgs {
    /// The configuration, with the keys read from the file. `health` is an additional path of health probes.
    pub(super) fn resolve(&self, health: Option<&str>, wrong: &mut Vec<String>) -> AccessPlan {
        let open = |path: &PathBuf| {
            KeyRing::open(path).map_err(|error| wrong.push(error.to_string())).ok().map(Arc::new)
        };
        let keys = self.api_keys.as_ref().and_then(open);
        if self.max_client_images == Some(0) {
            wrong.push(
                "--max-client-images is 0; every image would be rejected; use at least 1"
                    .to_owned(),
            );
        }
        let proxies =
            Proxies { networks: self.trust_forwarded.clone(), header: self.forwarded_header };
        AccessPlan {
            keys,
            open_metrics: self.open_metrics,
            rate: self.rate_limit,
            max_client_images: self.max_client_images,
            proxies,
            origins: self.cors_allow_origins.clone(),
            health: health.map(str::to_owned),
        }
    }
}
