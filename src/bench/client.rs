//! Sends one request over HTTP/1.1, on persistent connections.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::Outcome;

/// A server and the photos it is sent, one after the other and from the start again.
#[derive(Debug)]
pub struct Target {
    client: Client<HttpConnector, Full<Bytes>>,
    classify: Uri,
    photos: Vec<Bytes>,
    /// `Bearer` and the API key.
    authorization: Option<HeaderValue>,
}

impl Target {
    /// A server at `url`, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    ///
    /// Where the address is no `http://` URL, or there are no photos.
    pub fn new(url: &str, photos: Vec<Bytes>) -> Result<Self> {
        ensure!(!photos.is_empty(), "there are no photos to send; name some with --data");
        let classify = format!("{}/classify", url.trim_end_matches('/'));
        let no_address =
            || format!("{url} is not the URL of a server; use one such as http://127.0.0.1:8080");
        let classify: Uri = classify.parse().with_context(no_address)?;
        let is_http = classify.scheme_str() == Some("http") && classify.host().is_some();
        ensure!(is_http, no_address());
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, classify, photos, authorization: None })
    }

    /// The same target, whose requests have an API key.
    ///
    /// # Errors
    ///
    /// If the key has characters that a header cannot have.
    pub fn with_key(mut self, key: &str) -> Result<Self> {
        let value = HeaderValue::try_from(format!("Bearer {key}"));
        let mut value = value.context(
            "the API key has characters that no key has; check that it was copied completely",
        )?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }

    /// Opens a connection and closes it again.
    ///
    /// # Errors
    ///
    /// If nothing accepts it within `timeout`.
    pub async fn check(&self, timeout: Duration) -> Result<()> {
        let host = self.classify.host().unwrap_or_default();
        let address = format!("{host}:{}", self.classify.port_u16().unwrap_or(80));
        let cannot_connect = || format!("cannot connect to {address}; is the server running?");
        tokio::time::timeout(timeout, TcpStream::connect(&address))
            .await
            .with_context(cannot_connect)?
            .with_context(cannot_connect)?;
        Ok(())
    }

    /// Sends the photo whose turn is `number`, and waits for the whole answer.
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

/// Such as `503 queue-full`: the status, and the reason of the problem document.
fn kind(status: u16, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        reason: String,
    }
    match serde_json::from_slice(body) {
        Ok(Problem { reason }) => format!("{status} {reason}"),
        Err(_) => status.to_string(),
    }
}
