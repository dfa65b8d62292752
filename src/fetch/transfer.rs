//! Downloads a URL, following redirects.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use super::error::{beginning, root_cause};
use super::resolve::Resolver;
use super::{FetchError, UrlPolicy};

/// Maximum number of redirects: for example from a short URL to a host, and from there to its object store.
const REDIRECTS: usize = 3;

/// The read buffer of a connection; response headers must fit into it.
const BUFFER: usize = 64 << 10;

/// Limits for fetching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchPlan {
    /// Time limit for one image, from the check of its URL to its last byte.
    pub timeout: Duration,
    /// Maximum number of concurrent fetches; others wait, within their time limit.
    pub at_once: usize,
}

/// Fetches URLs that a [`UrlPolicy`] allows. Uses no proxy from the environment, and sends neither cookies nor
/// credentials.
#[derive(Debug)]
pub struct Fetcher {
    policy: Arc<UrlPolicy>,
    plan: FetchPlan,
    permits: Arc<Semaphore>,
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Empty<Bytes>>,
}

/// A response whose body was not read yet.
#[derive(Debug)]
pub struct UnreadResponse {
    /// The URL after all redirects, without its query.
    pub url: String,
    /// The length of the body, if it is known.
    pub announced: Option<u64>,
    /// The body.
    pub body: Incoming,
    /// The permit for this fetch, to be held until the body was read.
    pub permit: OwnedSemaphorePermit,
}

impl Fetcher {
    /// A client for URLs that `policy` allows. Does not use the network yet.
    ///
    /// # Panics
    ///
    /// Never: ring supports the TLS versions that are configured.
    #[must_use]
    pub fn new(policy: UrlPolicy, plan: FetchPlan) -> Self {
        let policy = Arc::new(policy);
        let mut connector = HttpConnector::new_with_resolver(Resolver::new(Arc::clone(&policy)));
        connector.enforce_http(false); // https comes through it, too
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .expect("ring knows TLS 1.2 and 1.3")
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .pool_max_idle_per_host(4)
            .http1_max_buf_size(BUFFER)
            .build(connector);
        Self { policy, plan, permits: Arc::new(Semaphore::new(plan.at_once)), client }
    }

    /// Time limit for one image.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.plan.timeout
    }

    /// Requests the URL `typed`, and follows redirects. The caller limits time and size.
    ///
    /// # Errors
    ///
    /// [`FetchError`] if the URL is not allowed, does not exist or cannot be reached.
    pub async fn open(&self, typed: &str) -> Result<UnreadResponse, FetchError> {
        let first = Url::parse(typed).map_err(|error| FetchError::NotAUrl {
            typed: beginning(typed),
            reason: error.to_string(),
        })?;
        self.policy.check(&first)?;
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(|error| FetchError::Unreachable {
            url: without_query(&first),
            reason: error.to_string(),
        })?;
        let mut url = first.clone();
        for hop in 0..=REDIRECTS {
            let behind = |source: FetchError| match hop {
                0 => source,
                _ => FetchError::Redirected { to: without_query(&url), source: Box::new(source) },
            };
            let answer = self.ask(&url).await.map_err(behind)?;
            if let Some(next) = redirect(&url, &answer).map_err(behind)? {
                url = next;
                continue;
            }
            let status = answer.status().as_u16();
            if status != 200 {
                return Err(behind(FetchError::Status { url: without_query(&url), status }));
            }
            let body = answer.into_body();
            let announced = body.size_hint().exact();
            return Ok(UnreadResponse { url: without_query(&url), announced, body, permit });
        }
        Err(FetchError::TooManyRedirects { url: without_query(&first), limit: REDIRECTS })
    }

    /// Checks the URL and sends one request.
    async fn ask(&self, url: &Url) -> Result<Response<Incoming>, FetchError> {
        self.policy.check(url)?;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri(url)?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("image/*"));
        let agent = concat!("resnetd/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        self.client.request(request).await.map_err(|error| {
            own_error(&error).unwrap_or_else(|| FetchError::Unreachable {
                url: without_query(url),
                reason: root_cause(&error),
            })
        })
    }
}

/// The target of `answer` if it is a redirect.
fn redirect(url: &Url, answer: &Response<Incoming>) -> Result<Option<Url>, FetchError> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let invalid = |reason: String| FetchError::BadRedirect { url: without_query(url), reason };
    let location = answer.headers().get(LOCATION);
    let location = location.ok_or_else(|| invalid("Location is missing".to_owned()))?;
    let location = location.to_str().map_err(|error| invalid(error.to_string()))?;
    url.join(location).map(Some).map_err(|error| invalid(error.to_string()))
}

/// `url` in hyper's type, whose parser is stricter. Checks that both have the same host, because the policy was
/// applied to `url` only.
fn uri(url: &Url) -> Result<Uri, FetchError> {
    let mut url = url.clone();
    url.set_fragment(None);
    let refused = |reason: String| FetchError::NotAUrl { typed: beginning(url.as_str()), reason };
    let uri: Uri = url.as_str().parse().map_err(|error| refused(format!("{error}")))?;
    if uri.host() != url.host_str() || uri.port_u16() != url.port() {
        return Err(refused("its host is ambiguous".to_owned()));
    }
    Ok(uri)
}

/// `url` for messages: without the query, which may contain secrets.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // URLs with a user name or a password are rejected, but not repeated.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    beginning(url.as_str())
}

/// The [`FetchError`] of the resolver among the causes of `error`, if there is one.
fn own_error(error: &(dyn Error + 'static)) -> Option<FetchError> {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|cause| cause.downcast_ref().cloned())
}
