//! Why an image could not be fetched.

use std::time::Duration;

/// Why an image could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No hosts were named at start.
    #[error(
        "fetching images by URL is disabled; send the image's bytes, or start the server with --allow-url-hosts"
    )]
    Off,
    /// Not a URL.
    #[error(
        "{typed:?} is not a valid URL ({reason}); use one such as https://images.example.org/cat.jpg"
    )]
    NotAUrl {
        /// What was sent, or its beginning.
        typed: String,
        /// What the parser says.
        reason: String,
    },
    /// Neither http nor https.
    #[error("the URL scheme {scheme} is not supported; use https or http")]
    Scheme {
        /// The URL's.
        scheme: String,
    },
    /// `user:password@` before the host.
    #[error("URLs with a user name or password are not supported; remove the part before the @")]
    UserInfo,
    /// Not a host that was named at start.
    #[error("the host {host} is not on the allow list (--allow-url-hosts)")]
    Host {
        /// The URL's.
        host: String,
    },
    /// Another port than was named at start.
    #[error(
        "port {port} of {host} is not on the allow list (--allow-url-hosts); an entry without a port \
         allows 80 and 443"
    )]
    Port {
        /// The URL's host.
        host: String,
        /// Its port.
        port: u16,
    },
    /// The host is somewhere where only this network gets to.
    #[error(
        "the host {host} has no public address; --allow-url-private allows networks with other \
         addresses"
    )]
    Address {
        /// The URL's.
        host: String,
    },
    /// The name, or the connection, leads nowhere.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// Without its query.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// Another status than 200.
    #[error("{url} answers with status {status}, not 200")]
    Status {
        /// Without its query.
        url: String,
        /// What was answered.
        status: u16,
    },
    /// A redirect that says not where, or nonsense.
    #[error("{url} has an invalid redirect: {reason}")]
    Nowhere {
        /// Without its query.
        url: String,
        /// What is wrong with `Location`.
        reason: String,
    },
    /// More redirects than are followed.
    #[error("{url} redirects more than {limit} times; use the final URL")]
    TooManyRedirects {
        /// The first of them, without its query.
        url: String,
        /// How many are followed.
        limit: usize,
    },
    /// The answer ends too early.
    #[error("the response of {url} was interrupted: {reason}")]
    BrokenOff {
        /// Without its query.
        url: String,
        /// What the connection says.
        reason: String,
    },
    /// More bytes than an upload may have.
    #[error(
        "the image at {url} has more than {limit} bytes; use a smaller one or raise --max-bytes"
    )]
    TooManyBytes {
        /// Without its query.
        url: String,
        /// The most there may be.
        limit: usize,
    },
    /// Too slow.
    #[error("{url} was not fetched within {limit:.0?}; try again, or send the image's bytes")]
    Slow {
        /// As it was sent, or its beginning.
        url: String,
        /// The time there was.
        limit: Duration,
    },
    /// Something is wrong behind a redirect.
    #[error("the URL redirects to {to}: {source}")]
    Redirected {
        /// Without its query.
        to: String,
        /// What is wrong there.
        source: Box<FetchError>,
    },
}

impl FetchError {
    /// That `typed` was not fetched within `limit`.
    #[must_use]
    pub fn slow(typed: &str, limit: Duration) -> Self {
        let url = typed.split(['?', '#']).next().unwrap_or_default();
        Self::Slow { url: beginning(url), limit }
    }
}

/// Client text as it is shown in messages.
pub(super) fn beginning(typed: &str) -> String {
    const SHOWN: usize = 200;
    let typed = super::without_password(typed);
    let mut shown: String = typed.chars().take(SHOWN).collect();
    if shown.len() < typed.len() {
        shown.push('…');
    }
    shown
}
