//! Options about what is outside: hosts that images come from, and clouds that say where they ask.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use crate::fetch::{AllowedHost, FetchPlan, Policy};
use crate::http::VertexRoutes;

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
