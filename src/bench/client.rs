//! Sends one request over HTTP/1.1, on persistent connections.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::http::uri::InvalidUri;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::Outcome;

/// A server, and the photos to send in a cycle.
#[derive(Debug)]
pub struct Target {
    client: Client<HttpConnector, Full<Bytes>>,
    classify: Uri,
    photos: Vec<Bytes>,
    /// `Bearer` and the API key.
    authorization: Option<HeaderValue>,
}

/// Why a server cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// There is nothing to send.
    #[error("there are no photos to send; name some with --data")]
    NoPhotos,
    /// The address is not an `http://` URL.
    #[error("{url} is not the URL of a server; use one such as http://127.0.0.1:8080")]
    NotAUrl {
        /// The address.
        url: String,
        /// Why it cannot be parsed, if it cannot.
        source: Option<InvalidUri>,
    },
    /// The API key cannot be sent.
    #[error("the API key has characters that no key has; check that it was copied completely")]
    BadKey,
    /// No server accepts connections.
    #[error("cannot connect to {address}; is the server running?")]
    Connect {
        /// Host and port.
        address: String,
        /// The error of the system.
        source: io::Error,
    },
}

impl Target {
    /// A server at `url`, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    ///
    /// [`TargetError::NotAUrl`] and [`TargetError::NoPhotos`].
    pub fn new(url: &str, photos: Vec<Bytes>) -> Result<Self, TargetError> {
        if photos.is_empty() {
            return Err(TargetError::NoPhotos);
        }
        let classify = format!("{}/classify", url.trim_end_matches('/'));
        let not_a_url = |source| TargetError::NotAUrl { url: url.to_owned(), source };
        let classify: Uri = classify.parse().map_err(|error| not_a_url(Some(error)))?;
        if classify.scheme_str() != Some("http") || classify.host().is_none() {
            return Err(not_a_url(None));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, classify, photos, authorization: None })
    }

    /// The same target, whose requests have an API key.
    ///
    /// # Errors
    ///
    /// [`TargetError::BadKey`] if the key has characters that a header cannot have.
    pub fn with_key(mut self, key: &str) -> Result<Self, TargetError> {
        let value = HeaderValue::try_from(format!("Bearer {key}"));
        let mut value = value.map_err(|_| TargetError::BadKey)?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }

    /// Opens a connection and closes it again.
    ///
    /// # Errors
    ///
    /// [`TargetError::Connect`] if no server accepts it within `timeout`.
    pub async fn check(&self, timeout: Duration) -> Result<(), TargetError> {
        let host = self.classify.host().unwrap_or_default();
        let address = format!("{host}:{}", self.classify.port_u16().unwrap_or(80));
        match tokio::time::timeout(timeout, TcpStream::connect(&address)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(source)) => Err(TargetError::Connect { address, source }),
            Err(elapsed) => Err(TargetError::Connect { address, source: elapsed.into() }),
        }
    }

    /// Sends photo `number` of the cycle, and waits for the complete response.
    pub(super) async fn send(&self, number: usize, timeout: Duration) -> Outcome {
        match tokio::time::timeout(timeout, self.exchange(number)).await {
            Ok(Ok((200, _))) => Outcome::Good,
            Ok(Ok((status, body))) => Outcome::Bad(kind(status, &body)),
            Ok(Err(())) => Outcome::Bad("connection".to_owned()),
            Err(_) => Outcome::Bad("timeout".to_owned()),
        }
    }

    async fn exchange(&self, number: usize) -> Result<(u16, Bytes), ()> {
        let photo = self.photos[number % self.photos.len()].clone();
        let mut request =
            Request::post(self.classify.clone()).body(Full::new(photo)).map_err(drop)?;
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        let answer = self.client.request(request).await.map_err(drop)?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(drop)?.to_bytes();
        Ok((status, body))
    }
}

/// Status and reason of a problem document, such as `503 queue-full`.
fn kind(status: u16, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct ProblemReason {
        reason: String,
    }
    match serde_json::from_slice(body) {
        Ok(ProblemReason { reason }) => format!("{status} {reason}"),
        Err(_) => status.to_string(),
    }
}
