//! Images by URL, with the same limits for memory, size and time as uploads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;

use super::App;
use super::json::{self, Text};
use super::origin;
use super::problem::Problem;
use super::reserved_bytes::with_reservation;
use super::upload::{self, Fields, RequestImages};
use crate::fetch::{FetchError, Fetcher, UnreadResponse, root_cause};
use crate::pipeline::queue::{Deadline, RequestContext};

/// Maximum length of a URL, in bytes.
pub(super) const LONGEST_URL: usize = 8192;

/// A body with the URL of an image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UrlBody<'a> {
    #[serde(borrow)]
    url: Text<'a>,
}

/// The type of the body, according to `Content-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeclaredType {
    /// JSON, which may contain a URL.
    Json,
    /// Another type, which is ignored.
    Other,
}

impl DeclaredType {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if upload::has_content_type(headers, "application/json") { Self::Json } else { Self::Other }
    }

    /// Checks that URLs in the body are allowed. A web page can send `application/json` to another origin
    /// only with that origin's permission, so pages cannot make their visitors' servers fetch URLs.
    pub(super) fn check_urls_allowed(self) -> Result<(), Problem> {
        match self {
            Self::Json => Ok(()),
            Self::Other => Err(Problem::invalid_parameter(
                "a URL is only accepted in a body with Content-Type application/json",
            )),
        }
    }
}

/// A request's images and form fields.
#[derive(Debug)]
pub(super) struct ReceivedImages {
    pub(super) upload: RequestImages,
    pub(super) fields: Fields,
    pub(super) context: RequestContext,
}

/// Reads a request's images. URLs must be fetched and the request answered within `limit` after that.
pub(super) async fn read(
    app: &App,
    request: Request,
    limit: Duration,
    parameters: &[&str],
) -> Result<ReceivedImages, Problem> {
    let declared = DeclaredType::of(request.headers());
    let origin = origin::of(request.extensions());
    let (upload, fields) = upload::read(app, request, parameters).await?;
    let deadline = Deadline::after(limit);
    let upload = follow(app, upload, declared, deadline).await?;
    Ok(ReceivedImages { upload, fields, context: RequestContext { origin, deadline } })
}

/// Replaces a body `{"url": "https://…"}` by the image at this URL.
pub(super) async fn follow(
    app: &App,
    upload: RequestImages,
    declared: DeclaredType,
    deadline: Deadline,
) -> Result<RequestImages, Problem> {
    match upload {
        RequestImages::One(body) if declared == DeclaredType::Json && json::is_object(&body) => {
            let url = app.server.shared.parse(body.len(), move || named(&body)).await?;
            Ok(RequestImages::One(image(app, &url, deadline).await?))
        }
        upload @ (RequestImages::One(_) | RequestImages::Several(_)) => Ok(upload),
    }
}

/// The URL in a JSON body.
fn named(body: &[u8]) -> Result<String, Problem> {
    let UrlBody { url: Text(url) } = json::read(body)?;
    if url.len() > LONGEST_URL {
        return Err(Problem::invalid_parameter(format!(
            "the URL has more than {LONGEST_URL} bytes; use a shorter one, or send the image's bytes"
        )));
    }
    Ok(url.into_owned())
}

/// Fetches the image at `url`.
pub(super) async fn image(app: &App, url: &str, deadline: Deadline) -> Result<Bytes, Problem> {
    let Some(fetcher) = &app.server.urls else { return Err(FetchError::Disabled.into()) };
    let limit = fetcher.timeout().min(deadline.left(Instant::now()));
    let seconds = app.server.metrics.fetch_seconds.start_timer();
    let bytes = tokio::time::timeout(limit, fetch(app, fetcher, url)).await;
    seconds.observe_duration();
    bytes.unwrap_or_else(|_| Err(FetchError::slow(url, limit).into()))
}

async fn fetch(app: &App, fetcher: &Fetcher, url: &str) -> Result<Bytes, Problem> {
    let UnreadResponse { url, announced, body, permit } = fetcher.open(url).await?;
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
    drop(permit);
    match read {
        Ok(bytes) => Ok(with_reservation(bytes, &held)),
        Err(error) => Err(match upload::why_ended(&error) {
            Some(upload::ReadStopped::TooLong) => FetchError::TooManyBytes { url, limit }.into(),
            Some(upload::ReadStopped::Rejected(rejected)) => rejected.into(),
            Some(upload::ReadStopped::TooSlow(_)) | None => {
                FetchError::Interrupted { url, reason: root_cause(&error) }.into()
            }
        }),
    }
}
