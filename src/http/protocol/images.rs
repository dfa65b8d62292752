//! The common path of all protocols: a request's images are classified; the result is all
//! classifications or the first problem, because these protocols cannot report an error for one
//! image.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::Request;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::parameters::{Parameters, Scored};
use crate::http::json::Text;
use crate::http::problem::Problem;
use crate::http::remote::{self, Called};
use crate::http::upload::{self, FormFile, Upload};
use crate::http::{App, answers, origin, query};
use crate::pipeline::Timings;
use crate::pipeline::queue::{Deadline, RequestContext};
use crate::pipeline::topk;

/// A request whose body is here.
#[derive(Debug)]
pub(super) struct ImageRequest {
    pub(super) upload: Upload,
    pub(super) called: Called,
    /// Those of the query.
    pub(super) parameters: Parameters,
    pub(super) context: RequestContext,
}

/// One image, as it was sent.
#[derive(Debug)]
pub(super) enum Sent {
    /// Its bytes.
    Bytes(Bytes),
    /// Its bytes as base64.
    Base64(Bytes),
    /// Where it is.
    Url(String),
}

/// The classes of one image, falling.
pub(super) type Classes = Vec<Scored>;

impl ImageRequest {
    pub(super) async fn of(
        app: &App,
        typed: query::Typed,
        request: Request,
    ) -> Result<Self, Problem> {
        let mut pairs = query::pairs(typed)?;
        let mut parameters = Parameters::of(&pairs)?;
        let limit = answers::time_limit(request.headers(), app.server.timeouts.request)?;
        let called = Called::by(request.headers());
        let origin = origin::of(request.extensions());
        let (upload, fields) = upload::read(app, request, query::names::<Parameters>()).await?;
        if !fields.is_empty() {
            pairs.extend(fields);
            parameters = Parameters::of(&pairs)?;
        }
        let context = RequestContext { origin, deadline: Deadline::after(limit) };
        Ok(Self { upload, called, parameters, context })
    }
}

impl Sent {
    /// What `text`, somewhere in `body`, means.
    fn by(app: &App, body: &Bytes, called: Called, text: Cow<'_, str>) -> Result<Self, Problem> {
        if text.chars().take(16).collect::<String>().contains("://") {
            called.may_name_urls()?;
            if text.len() > remote::LONGEST_URL {
                return Err(Problem::invalid_parameter(format!(
                    "a URL has more than {} bytes; name a shorter one, or send the image as base64",
                    remote::LONGEST_URL
                )));
            }
            return Ok(Self::Url(text.into_owned()));
        }
        Ok(Self::Base64(match text {
            Cow::Borrowed(text) => body.slice_ref(text.as_bytes()),
            Cow::Owned(text) => {
                upload::charging(app, text.len(), || Ok::<_, Problem>(text.into_bytes()))??
            }
        }))
    }

    async fn bytes(self, app: &App, deadline: Deadline) -> Result<Bytes, Problem> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Base64(text) => {
                let shared = Arc::clone(&app.server.shared);
                let app = app.clone();
                shared.parse(text.len(), move || decoded(&app, &text)).await
            }
            Self::Url(url) => remote::image(app, &url, deadline).await,
        }
    }
}

/// The images of `texts`, each of them somewhere in `body`.
pub(super) fn of_json<'a>(
    app: &App,
    body: &Bytes,
    called: Called,
    texts: impl IntoIterator<Item = Text<'a>>,
) -> Result<Vec<Sent>, Problem> {
    texts.into_iter().map(|Text(text)| Sent::by(app, body, called, text)).collect()
}

/// The files of a form, in order.
pub(super) fn of_form(parts: Vec<FormFile>) -> Vec<Sent> {
    parts.into_iter().map(|part| Sent::Bytes(part.bytes)).collect()
}

/// Classifies `images`, as many at once as can be of use.
pub(super) async fn classify(
    app: &App,
    images: Vec<Sent>,
    parameters: Parameters,
    context: &RequestContext,
) -> Result<(Vec<Classes>, Vec<Timings>), Problem> {
    let count = images.len();
    let answers: Vec<_> = stream::iter(images.into_iter().enumerate())
        .map(async |(place, sent)| {
            let answer = one(app, sent, parameters, context).await;
            answer.map_err(|problem| problem.of_image(place, count))
        })
        .buffered(context.at_once(app.model.pipeline.at_once()))
        .try_collect()
        .await?;
    Ok(answers.into_iter().unzip())
}

async fn one(
    app: &App,
    sent: Sent,
    parameters: Parameters,
    context: &RequestContext,
) -> Result<(Classes, Timings), Problem> {
    let bytes = sent.bytes(app, context.deadline).await?;
    let (top_k, function) = (parameters.top_k(), parameters.function());
    let classification = app.model.pipeline.classify(bytes, context).await?;
    let card = app.model.pipeline.card();
    let classes = topk::scored(&classification.scores, &card.labels, card.task, top_k, function);
    Ok((classes.into_iter().map(Scored::from).collect(), classification.timings))
}

/// Base64 in either alphabet, padded or not, also as the `data:` URL of a browser.
fn decoded(app: &App, text: &[u8]) -> Result<Bytes, Problem> {
    let text = match text.strip_prefix(b"data:") {
        None => text,
        Some(url) => {
            let comma = url.iter().take(100).position(|&byte| byte == b',');
            comma.map_or(text, |comma| &url[comma + 1..])
        }
    };
    // Tools such as base64(1) break lines.
    let text: Cow<'_, [u8]> = if text.iter().any(u8::is_ascii_whitespace) {
        text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
    } else {
        text.into()
    };
    let url_safe = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let alphabet = if url_safe { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    let padding =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(alphabet, padding);
    upload::charging(app, text.len(), || engine.decode(&text))?.map_err(|error| {
        Problem::invalid_parameter(format!(
            "an image in JSON is base64, or an http:// or https:// URL, and this is neither: {error}"
        ))
    })
}
