//! The common path of all protocols but the Open Inference Protocol: classifies a request's images, and returns all classifications or the
//! first problem, because these protocols cannot report an error for a single image.

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
use crate::http::remote::{self, DeclaredType};
use crate::http::upload::{self, FormFile, RequestImages};
use crate::http::{App, answers, origin, query};
use crate::pipeline::Timings;
use crate::pipeline::queue::{Deadline, RequestContext};
use crate::pipeline::topk;

/// A request whose body was read.
#[derive(Debug)]
pub(super) struct ImageRequest {
    pub(super) upload: RequestImages,
    pub(super) declared: DeclaredType,
    /// From the query.
    pub(super) parameters: Parameters,
    pub(super) context: RequestContext,
}

/// One image of a request.
#[derive(Debug)]
pub(super) enum SentImage {
    /// Its bytes.
    Bytes(Bytes),
    /// The bytes as base64.
    Base64(Bytes),
    /// A URL of the image.
    Url(String),
}

/// The classes of one image, in descending order.
pub(super) type AnswerClasses = Vec<Scored>;

impl ImageRequest {
    pub(super) async fn of(
        app: &App,
        typed: query::Typed,
        request: Request,
    ) -> Result<Self, Problem> {
        let mut pairs = query::pairs(typed)?;
        let mut parameters = Parameters::of(&pairs)?;
        let limit = answers::time_limit(request.headers(), app.server.timeouts.request)?;
        let declared = DeclaredType::of(request.headers());
        let origin = origin::of(request.extensions());
        let (upload, fields) = upload::read(app, request, query::names::<Parameters>()).await?;
        if !fields.is_empty() {
            pairs.extend(fields);
            parameters = Parameters::of(&pairs)?;
        }
        let context = RequestContext { origin, deadline: Deadline::after(limit) };
        Ok(Self { upload, declared, parameters, context })
    }
}

impl SentImage {
    /// Interprets `text`, which is a part of `body`, as a URL or base64.
    fn parse(
        app: &App,
        body: &Bytes,
        declared: DeclaredType,
        text: Cow<'_, str>,
    ) -> Result<Self, Problem> {
        if text.chars().take(16).collect::<String>().contains("://") {
            declared.check_urls_allowed()?;
            if text.len() > remote::LONGEST_URL {
                return Err(Problem::invalid_parameter(format!(
                    "a URL has more than {} bytes; use a shorter one, or send the image as base64",
                    remote::LONGEST_URL
                )));
            }
            return Ok(Self::Url(text.into_owned()));
        }
        Ok(Self::Base64(match text {
            Cow::Borrowed(text) => body.slice_ref(text.as_bytes()),
            Cow::Owned(text) => {
                upload::reserve_for(app, text.len(), || Ok::<_, Problem>(text.into_bytes()))??
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

/// The images in `texts`, which are parts of `body`.
pub(super) fn of_json<'a>(
    app: &App,
    body: &Bytes,
    declared: DeclaredType,
    texts: impl IntoIterator<Item = Text<'a>>,
) -> Result<Vec<SentImage>, Problem> {
    texts.into_iter().map(|Text(text)| SentImage::parse(app, body, declared, text)).collect()
}

/// The files of a form, in order.
pub(super) fn of_form(parts: Vec<FormFile>) -> Vec<SentImage> {
    parts.into_iter().map(|part| SentImage::Bytes(part.bytes)).collect()
}

/// Classifies `images`, with as many in flight as the model can use.
pub(super) async fn classify(
    app: &App,
    images: Vec<SentImage>,
    parameters: Parameters,
    context: &RequestContext,
) -> Result<(Vec<AnswerClasses>, Vec<Timings>), Problem> {
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
    sent: SentImage,
    parameters: Parameters,
    context: &RequestContext,
) -> Result<(AnswerClasses, Timings), Problem> {
    let bytes = sent.bytes(app, context.deadline).await?;
    let (top_k, function) = (parameters.top_k(), parameters.function());
    let classification = app.model.pipeline.classify(bytes, context).await?;
    let card = app.model.pipeline.card();
    let classes = topk::scored(&classification.scores, &card.labels, card.task, top_k, function);
    Ok((classes.into_iter().map(Scored::from).collect(), classification.timings))
}

/// Decodes base64 in either alphabet, with or without padding, also in a browser's `data:` URL.
fn decoded(app: &App, text: &[u8]) -> Result<Bytes, Problem> {
    let text = match text.strip_prefix(b"data:") {
        None => text,
        Some(url) => {
            let comma = url.iter().take(100).position(|&byte| byte == b',');
            comma.map_or(text, |comma| &url[comma + 1..])
        }
    };
    // Some tools, such as base64(1), insert line breaks.
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
    upload::reserve_for(app, text.len(), || engine.decode(&text))?.map_err(|error| {
        Problem::invalid_parameter(format!(
            "an image in JSON must be base64 or an http:// or https:// URL; this is neither: {error}"
        ))
    })
}
