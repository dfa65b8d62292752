//! Options for fetching images by URL.

use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use crate::fetch::{AllowedHost, FetchPlan, UrlPolicy};

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

impl UrlArgs {
    /// The policy for images by URL, with at most `at_once` concurrent fetches; `None` if URLs are disabled.
    pub(super) fn resolve(
        &self,
        at_once: usize,
        wrong: &mut Vec<String>,
    ) -> Option<(UrlPolicy, FetchPlan)> {
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
        let policy = UrlPolicy {
            hosts: self.allow_url_hosts.clone(),
            private: self.allow_url_private.clone(),
        };
        Some((policy, FetchPlan { timeout: self.url_timeout, at_once }))
    }
}
