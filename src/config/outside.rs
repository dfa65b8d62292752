//! Options about what is outside: the hub, hosts that images come from, and clouds that say where
//! they ask.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use ipnet::IpNet;

use crate::fetch::{AllowedHost, FetchPlan, Policy};
use crate::http::VertexRoutes;
use crate::hub::Hub;

/// Where models of the hub come from and stay. The variables are those of `huggingface_hub`.
#[derive(Debug, Clone, Args)]
pub struct HubArgs {
    /// The hub, or a mirror of it
    #[arg(long, env = "HF_ENDPOINT", default_value = "https://huggingface.co", value_name = "URL")]
    pub hub_endpoint: String,

    #[expect(clippy::doc_markdown, reason = "help text is shown as it is written")]
    /// A token for private and gated models [default: the one in HF_HOME/token]
    #[arg(long, env = "HF_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub hub_token: Option<String>,

    #[expect(clippy::doc_markdown, reason = "help text is shown as it is written")]
    /// Where fetched models are kept [default: HF_HOME/hub]
    #[arg(long, env = "HF_HUB_CACHE", value_name = "FOLDER")]
    pub hub_cache: Option<PathBuf>,

    /// The folder of everything that has to do with the hub [default: ~/.cache/huggingface]
    #[arg(long, env = "HF_HOME", value_name = "FOLDER")]
    pub hub_home: Option<PathBuf>,

    /// Use what was fetched earlier and stay off the network
    #[arg(long, env = "HF_HUB_OFFLINE", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          require_equals = true, default_value = "false", default_missing_value = "true")]
    pub hub_offline: bool,
}

impl HubArgs {
    /// The hub that these options mean.
    #[must_use]
    pub fn hub(&self) -> Hub {
        let home = self.hub_home.clone().unwrap_or_else(|| {
            let home = std::env::home_dir().unwrap_or_default();
            home.join(".cache/huggingface")
        });
        let written = || std::fs::read_to_string(home.join("token")).ok();
        let token = self.hub_token.clone().or_else(written);
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        Hub {
            endpoint: self.hub_endpoint.clone(),
            token,
            cache: self.hub_cache.clone().unwrap_or_else(|| home.join("hub")),
            offline: self.hub_offline,
        }
    }
}

/// Whether images are taken by URL, and from where.
#[derive(Debug, Clone, Args)]
pub struct UrlArgs {
    /// Hosts that images may be fetched from when a request names a URL, as in
    /// images.example.org,*.cdn.example.org,example.org:8443 [default: none, URLs are refused]
    #[arg(
        long,
        env = "RESNETD_ALLOW_URL_HOSTS",
        value_delimiter = ',',
        value_name = "HOST[:PORT],..."
    )]
    pub allow_url_hosts: Vec<AllowedHost>,

    /// Networks that may be fetched from although their addresses are not public, as in
    /// 10.1.0.0/16; loopback, private, link-local and other such addresses are blocked elsewhere
    #[arg(
        long,
        env = "RESNETD_ALLOW_URL_PRIVATE",
        value_delimiter = ',',
        value_name = "NETWORK,..."
    )]
    pub allow_url_private: Vec<IpNet>,

    /// How long fetching an image may take, within the request's own time
    #[arg(long, env = "RESNETD_URL_TIMEOUT", default_value = "5s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub url_timeout: Duration,
}

/// What Vertex AI tells a container. The variables are the platform's own.
#[derive(Debug, Clone, Args)]
pub struct VertexArgs {
    /// A path at which Vertex AI posts instances, beside /invocations, which takes them as well
    #[arg(long, env = "AIP_PREDICT_ROUTE", value_name = "PATH")]
    pub vertex_predict_route: Option<String>,

    /// A path at which Vertex AI asks for health, beside /ping and /health
    #[arg(long, env = "AIP_HEALTH_ROUTE", value_name = "PATH")]
    pub vertex_health_route: Option<String>,

    /// The port that Vertex AI asks at, in the place of the one in --listen
    #[arg(long, env = "AIP_HTTP_PORT", value_name = "PORT")]
    pub vertex_port: Option<u16>,
}

impl UrlArgs {
    /// What may be fetched, `at_once` images at the same time; `None` where nothing may.
    pub(super) fn resolve(
        &self,
        at_once: usize,
        wrong: &mut Vec<String>,
    ) -> Option<(Policy, FetchPlan)> {
        if self.url_timeout.is_zero() {
            wrong.push("--url-timeout is 0; nothing could be fetched".to_owned());
        }
        if self.allow_url_hosts.is_empty() {
            if !self.allow_url_private.is_empty() {
                wrong.push(
                    "--allow-url-private allows nothing without --allow-url-hosts; name the hosts"
                        .to_owned(),
                );
            }
            return None;
        }
        let policy =
            Policy { hosts: self.allow_url_hosts.clone(), private: self.allow_url_private.clone() };
        Some((policy, FetchPlan { timeout: self.url_timeout, at_once }))
    }
}

impl VertexArgs {
    pub(super) fn routes(&self, wrong: &mut Vec<String>) -> VertexRoutes {
        let predict = self.vertex_predict_route.as_deref();
        let health = self.vertex_health_route.as_deref();
        VertexRoutes::new(predict, health).unwrap_or_else(|bad| {
            wrong.extend(bad.iter().map(ToString::to_string));
            VertexRoutes::default()
        })
    }

    /// `listen`, on the platform's port if it says one.
    pub(super) fn listen(&self, listen: SocketAddr) -> SocketAddr {
        SocketAddr::new(listen.ip(), self.vertex_port.unwrap_or(listen.port()))
    }
}
