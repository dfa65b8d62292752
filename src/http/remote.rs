//! Images that are named by URL, with the memory, the size and the time of uploads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;

use super::App;
use super::holding::holding;
use super::json::{self, Text};
use super::origin;
use super::problem::Problem;
use super::upload::{self, Fields, Upload};
use crate::fetch::{FetchError, Fetcher, Remote};
use crate::pipeline::queue::{Deadline, RequestContext};

/// The longest URL that is followed, in bytes.
pub(super) const LONGEST_URL: usize = 8192;

/// A body that names an image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UrlBody<'a> {
    #[serde(borrow)]
    url: Text<'a>,
}

/// What the client calls its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Called {
    /// JSON, which may name an image.
    Json,
    /// Anything else, which is ignored.
    Other,
}

impl Called {
    pub(super) fn by(headers: &HeaderMap) -> Self {
        if upload::is_called(headers, "application/json") { Self::Json } else { Self::Other }
    }

    /// Checks that URLs in the body may be followed. A web page can send `application/json` to
    /// another origin only with that origin's permission, so pages cannot make their visitors'
    /// servers fetch.
    pub(super) fn may_name_urls(self) -> Result<(), Problem> {
        match self {
            Self::Json => Ok(()),
            Self::Other => Err(Problem::invalid_parameter(
                "a URL is only followed in a body whose Content-Type is application/json",
            )),
        }
    }
}

/// A request's images, and the parameters that came with them.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) upload: Upload,
    pub(super) fields: Fields,
    pub(super) context: RequestContext,
}

/// Reads a request's images, which must be fetched and answered within `limit` of their arrival.
pub(super) async fn read(
    app: &App,
    request: Request,
    limit: Duration,
    parameters: &[&str],
) -> Result<Arrived, Problem> {
    let called = Called::by(request.headers());
    let origin = origin::of(request.extensions());
    let (upload, fields) = upload::read(app, request, parameters).await?;
    let deadline = Deadline::after(limit);
    let upload = follow(app, upload, called, deadline).await?;
    Ok(Arrived { upload, fields, context: RequestContext { origin, deadline } })
}

/// Replaces a body `{"url": "https://…"}` by the image at this URL.
pub(super) async fn follow(
    app: &App,
    upload: Upload,
    called: Called,
    deadline: Deadline,
) -> Result<Upload, Problem> {
    match upload {
        Upload::One(body) if called == Called::Json && json::is_object(&body) => {
            let url = app.server.shared.parse(body.len(), move || named(&body)).await?;
            Ok(Upload::One(image(app, &url, deadline).await?))
        }
        upload @ (Upload::One(_) | Upload::Several(_)) => Ok(upload),
    }
}

/// The URL that is all of a body of JSON.
fn named(body: &[u8]) -> Result<String, Problem> {
    let UrlBody { url: Text(url) } = json::read(body)?;
    if url.len() > LONGEST_URL {
        return Err(Problem::invalid_parameter(format!(
            "the URL has more than {LONGEST_URL} bytes; name a shorter one, or send the image's bytes"
        )));
    }
    Ok(url.into_owned())
}

/// The bytes at `url`.
pub(super) async fn image(app: &App, url: &str, deadline: Deadline) -> Result<Bytes, Problem> {
    let Some(fetcher) = &app.server.urls else { return Err(FetchError::Off.into()) };
    let limit = fetcher.timeout().min(deadline.left(Instant::now()));
    let seconds = app.server.metrics.fetch_seconds.start_timer();
    let bytes = tokio::time::timeout(limit, fetch(app, fetcher, url)).await;
    seconds.observe_duration();
    bytes.unwrap_or_else(|_| Err(FetchError::slow(url, limit).into()))
}

async fn fetch(app: &App, fetcher: &Fetcher, url: &str) -> Result<Bytes, Problem> {
    let Remote { url, announced, body, turn } = fetcher.open(url).await?;
    let limit = app.model.pipeline.plan().limits.max_bytes;
    let announced = announced.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > limit {
        return Err(FetchError::TooManyBytes { url, limit }.into());
    }
    let held = Arc::new(app.model.pipeline.reserve(announced)?);
    held.shrink_to(0);
    let read = upload::read_raw(
        upload::charged(Body::new(body), limit, &held, upload::counting(app)),
        announced,
    )
    .await;
    drop(turn);
    match read {
        Ok(bytes) => Ok(holding(bytes, &held)),
        Err(error) => Err(match upload::why_ended(&error) {
            Some(upload::ReadStopped::TooLong) => FetchError::TooManyBytes { url, limit }.into(),
            Some(upload::ReadStopped::Rejected(rejected)) => rejected.into(),
            Some(upload::ReadStopped::TooSlow(_)) | None => {
                FetchError::BrokenOff { url, reason: innermost(&error) }.into()
            }
        }),
    }
}

/// The root cause, which is the most informative.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .last()
        .map_or_else(String::new, ToString::to_string)
}
