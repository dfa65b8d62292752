//! Why an image could not be fetched.

use std::error::Error;
use std::time::Duration;

/// Why an image could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The allow list is empty.
    #[error("this server does not fetch images by URL; send the image's bytes")]
    Disabled,
    /// Not a URL.
    #[error(
        "{typed:?} is not a valid URL ({reason}); use one such as https://images.example.org/cat.jpg"
    )]
    NotAUrl {
        /// The text, shortened.
        typed: String,
        /// The error of the parser.
        reason: String,
    },
    /// Neither http nor https.
    #[error("the URL scheme {scheme} is not supported; use https or http")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// `user:password@` before the host.
    #[error("URLs with a user name or password are not supported; remove the part before the @")]
    UserInfo,
    /// The host is not on the allow list.
    #[error("the host {host} is not on this server's allow list; send the image's bytes")]
    Host {
        /// The URL's host.
        host: String,
    },
    /// The port is not on the allow list.
    #[error("port {port} of {host} is not on this server's allow list; send the image's bytes")]
    Port {
        /// The URL's host.
        host: String,
        /// Its port.
        port: u16,
    },
    /// The host has no public address, and no address that is allowed in addition.
    #[error(
        "the host {host} has no public address, and its address is not on this server's allow list; \
         send the image's bytes"
    )]
    Address {
        /// The URL's host.
        host: String,
    },
    /// The name cannot be resolved, or the connection fails.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// Without its query.
        url: String,
        /// The error of the system.
        reason: String,
    },
    /// The status is not 200.
    #[error("{url} answers with status {status}, not 200")]
    Status {
        /// Without its query.
        url: String,
        /// The status.
        status: u16,
    },
    /// A redirect with a missing or invalid `Location`.
    #[error("{url} has an invalid redirect: {reason}")]
    BadRedirect {
        /// Without its query.
        url: String,
        /// Why it is invalid.
        reason: String,
    },
    /// Too many redirects.
    #[error("{url} redirects more than {limit} times; use the final URL")]
    TooManyRedirects {
        /// The URL of the request, without its query.
        url: String,
        /// Maximum number of redirects.
        limit: usize,
    },
    /// The response ends before it is complete.
    #[error("the response of {url} was interrupted: {reason}")]
    Interrupted {
        /// Without its query.
        url: String,
        /// The error of the connection.
        reason: String,
    },
    /// The image is larger than an upload may be.
    #[error(
        "the image at {url} has more than {limit} bytes, the limit of this server; use a smaller one"
    )]
    TooManyBytes {
        /// Without its query.
        url: String,
        /// Maximum number of bytes.
        limit: usize,
    },
    /// The time limit has passed.
    #[error("{url} was not fetched within {limit:.0?}; try again, or send the image's bytes")]
    Timeout {
        /// Without its query, shortened.
        url: String,
        /// The time limit.
        limit: Duration,
    },
    /// The target of a redirect cannot be fetched.
    #[error("the URL redirects to {to}: {source}")]
    Redirected {
        /// The target, without its query.
        to: String,
        /// The reason.
        source: Box<FetchError>,
    },
}

impl FetchError {
    /// `typed` was not fetched within `limit`.
    #[must_use]
    pub fn slow(typed: &str, limit: Duration) -> Self {
        Self::Timeout { url: beginning(typed), limit }
    }
}

/// A client's text for a message: without a password and without a query, which may contain secrets, and at most 200
/// characters.
pub(super) fn beginning(typed: &str) -> String {
    const SHOWN: usize = 200;
    let typed = super::without_password(typed.split(['?', '#']).next().unwrap_or_default());
    let mut shown: String = typed.chars().take(SHOWN).collect();
    if shown.len() < typed.len() {
        shown.push('…');
    }
    shown
}

/// The error at the end of the chain of causes, which is the most informative.
#[must_use]
pub fn root_cause(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .last()
        .map_or_else(String::new, ToString::to_string)
}
