//! Options for fetching images by URL and for Vertex AI.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use crate::fetch::{AllowedHost, FetchPlan, Policy};
use crate::http::VertexRoutes;

/// Options for images by URL.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Images by URL")]
pub struct UrlArgs {
    /// Allow list of hosts from which images may be fetched by URL
    ///
    /// For example: images.example.org,*.cdn.example.org,example.org:8443 [default: none; URLs are
    /// rejected]
    #[arg(
        long,
        env = "RESNETD_ALLOW_URL_HOSTS",
        value_delimiter = ',',
        value_name = "HOST[:PORT],..."
    )]
    pub allow_url_hosts: Vec<AllowedHost>,

    /// Networks with non-public addresses from which images may be fetched, such as 10.1.0.0/16;
    /// all other loopback, private, link-local and special addresses are blocked
    #[arg(
        hide_short_help = true,
        long,
        env = "RESNETD_ALLOW_URL_PRIVATE",
        value_delimiter = ',',
        value_name = "NETWORK,..."
    )]
    pub allow_url_private: Vec<IpNet>,

    /// Time limit for fetching an image, within the request's own time limit
    #[arg(hide_short_help = true, long, env = "RESNETD_URL_TIMEOUT", default_value = "5s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub url_timeout: Duration,
}

/// Settings that Vertex AI passes to a container in these environment variables.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Vertex AI")]
pub struct VertexArgs {
    /// Additional path for Vertex AI predictions; /invocations accepts them too
    #[arg(hide_short_help = true, long, env = "AIP_PREDICT_ROUTE", value_name = "PATH")]
    pub vertex_predict_route: Option<String>,

    /// Additional path for Vertex AI health checks; /ping and /health answer them too
    #[arg(hide_short_help = true, long, env = "AIP_HEALTH_ROUTE", value_name = "PATH")]
    pub vertex_health_route: Option<String>,

    /// Port for Vertex AI; replaces the port of --listen
    #[arg(hide_short_help = true, long, env = "AIP_HTTP_PORT", value_name = "PORT")]
    pub vertex_port: Option<u16>,
}

impl UrlArgs {
    /// The policy for images by URL, with at most `at_once` concurrent fetches; `None` if URLs are disabled.
    pub(super) fn resolve(
        &self,
        at_once: usize,
        wrong: &mut Vec<String>,
    ) -> Option<(Policy, FetchPlan)> {
        if self.url_timeout.is_zero() {
            wrong.push(
                "--url-timeout is 0; every fetch would fail; use a duration such as 5s".to_owned(),
            );
        }
        if self.allow_url_hosts.is_empty() {
            if !self.allow_url_private.is_empty() {
                wrong.push(
                    "--allow-url-private has no effect without --allow-url-hosts; add the hosts"
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

    /// `listen` with the port of Vertex AI, if it is set.
    pub(super) fn listen(&self, listen: SocketAddr) -> SocketAddr {
        SocketAddr::new(listen.ip(), self.vertex_port.unwrap_or(listen.port()))
    }
}
