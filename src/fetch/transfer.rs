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

use super::error::beginning;
use super::resolve::Resolver;
use super::{FetchError, Policy};

/// Enough for a short name, its host, and its host's store.
const REDIRECTS: usize = 3;

/// The read buffer of a connection; response headers must fit into it.
const BUFFER: usize = 64 << 10;

/// What fetching may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchPlan {
    /// For one image, from the first look at its URL to its last byte.
    pub timeout: Duration,
    /// Images fetched at the same time; more wait, within their time.
    pub at_once: usize,
}

/// Fetches what a [`Policy`] allows. Takes no proxy from the environment, sends no cookies and no
/// credentials.
#[derive(Debug)]
pub struct Fetcher {
    policy: Arc<Policy>,
    plan: FetchPlan,
    turns: Arc<Semaphore>,
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Empty<Bytes>>,
}

/// An answer whose bytes are still to come.
#[derive(Debug)]
pub struct Remote {
    /// Where it comes from in the end, without its query.
    pub url: String,
    /// How many bytes are announced.
    pub announced: Option<u64>,
    /// The bytes.
    pub body: Incoming,
    /// The right to fetch, to be kept until they are here.
    pub turn: OwnedSemaphorePermit,
}

impl Fetcher {
    /// Nothing is asked of the network yet.
    ///
    /// # Panics
    ///
    /// Never: ring knows the versions of TLS that are asked for.
    #[must_use]
    pub fn new(policy: Policy, plan: FetchPlan) -> Self {
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
        Self { policy, plan, turns: Arc::new(Semaphore::new(plan.at_once)), client }
    }

    /// How long one image may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.plan.timeout
    }

    /// Asks for what is at `typed`, and follows redirects. The caller bounds time and bytes.
    ///
    /// # Errors
    ///
    /// [`FetchError`]: not allowed, not there, or not to be reached.
    pub async fn open(&self, typed: &str) -> Result<Remote, FetchError> {
        let first = Url::parse(typed).map_err(|error| FetchError::NotAUrl {
            typed: beginning(typed),
            reason: error.to_string(),
        })?;
        self.policy.check(&first)?;
        let turns = Arc::clone(&self.turns);
        let turn = turns.acquire_owned().await.map_err(|error| FetchError::Unreachable {
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
            return Ok(Remote { url: without_query(&url), announced, body, turn });
        }
        Err(FetchError::TooManyRedirects { url: without_query(&first), limit: REDIRECTS })
    }

    /// One request, to a URL that is looked at first.
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
                reason: innermost(&error),
            })
        })
    }
}

/// Where `answer` sends us, if anywhere.
fn redirect(url: &Url, answer: &Response<Incoming>) -> Result<Option<Url>, FetchError> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let nowhere = |reason: String| FetchError::Nowhere { url: without_query(url), reason };
    let location = answer.headers().get(LOCATION);
    let location = location.ok_or_else(|| nowhere("Location is missing".to_owned()))?;
    let location = location.to_str().map_err(|error| nowhere(error.to_string()))?;
    url.join(location).map(Some).map_err(|error| nowhere(error.to_string()))
}

/// The same in hyper's type, which reads URLs more strictly: that both mean the same host is
/// checked, for the policy saw only one of them.
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

/// For messages: without the query, which may have secrets.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Only of URLs that are refused for having them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    beginning(url.as_str())
}

/// What our resolver said, somewhere among the causes of `error`.
fn own_error(error: &(dyn Error + 'static)) -> Option<FetchError> {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|cause| cause.downcast_ref().cloned())
}

/// The first cause, which says most.
fn innermost(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .last()
        .map_or_else(String::new, ToString::to_string)
}
