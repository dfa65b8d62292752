//! `POST /classify`: one image, a form of several, or the URL of one.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use super::problem::Problem;
use super::query::{self, Query};
use super::upload::Upload;
use super::{App, accept, answers, remote};
use crate::pipeline::explain::{Explanation, Maps};
use crate::pipeline::queue::Deadline;
use crate::pipeline::topk::Prediction;
use crate::pipeline::{Ask, Classification, ClassifyError, ImageFacts, Timings};

/// What is answered for one image.
#[derive(Debug, Serialize)]
struct Classified {
    predictions: Vec<Prediction>,
    image: ImageFacts,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

pub(super) async fn classify(
    State(app): State<App>,
    pairs: query::Typed,
    request: Request,
) -> Result<Response, Problem> {
    let asked = Asked::of(&app, &query::pairs(pairs)?, request.headers())?;
    let limit = answers::time_limit(request.headers(), app.timeouts.request)?;
    let (upload, deadline) = remote::read(&app, request, limit).await?;
    respond(&app, asked, upload, deadline).await
}

/// What is wanted of a request's images.
#[derive(Debug)]
pub(super) struct Asked {
    query: Query,
    form: Form,
}

impl Asked {
    pub(super) fn of(
        app: &App,
        pairs: &[(String, String)],
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let query = Query::read(pairs, &app.pipeline.card().labels)?;
        let form = Form::of(&query, headers)?;
        Ok(Self { query, form })
    }
}

/// The answer for images that are here.
pub(super) async fn respond(
    app: &App,
    asked: Asked,
    upload: Upload,
    deadline: Deadline,
) -> Result<Response, Problem> {
    let Asked { query, form } = asked;
    let each = |bytes| answer(app, bytes, &query, deadline);
    let mut response = match (upload, form) {
        (Upload::One(bytes), Form::Json) => answers::one(app, each(bytes).await?),
        (Upload::Several(parts), Form::Json) => answers::several(app, parts, each).await,
        (Upload::One(bytes), Form::Overlay) => overlay(app, bytes, &query, deadline).await?,
        (Upload::Several(_), Form::Overlay) => {
            return Err(Problem::invalid_parameter(
                "an overlay shows one image; send one file, or ask for application/json",
            ));
        }
    };
    if query.explain.is_some() {
        accept::vary(&mut response);
    }
    Ok(response)
}

/// What an answer is made of.
#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Overlay,
}

impl Form {
    fn of(query: &Query, headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(classes) = &query.explain else { return Ok(Self::Json) };
        if accept::best(headers, &["application/json", "image/png"]) == "application/json" {
            Ok(Self::Json)
        } else if classes.len() > 1 {
            Err(Problem::invalid_parameter(
                "an overlay shows one class; name one, or ask for application/json",
            ))
        } else {
            Ok(Self::Overlay)
        }
    }
}

/// Classifies one image, and explains it where that is asked.
async fn answer(
    app: &App,
    bytes: Bytes,
    query: &Query,
    deadline: Deadline,
) -> Result<(Classified, Timings), ClassifyError> {
    let ask = Ask { top_k: query.top_k, deadline };
    let (classification, explanation) = match &query.explain {
        None => (app.pipeline.classify(bytes, ask).await?, None),
        Some(classes) => {
            let among = query.narrow.as_ref().map_or(&[][..], |narrow| &narrow.among);
            let maps = match &classes[..] {
                [] => Maps::BestOf(among),
                classes => Maps::These(classes),
            };
            let explained = app.pipeline.explain(bytes, ask, maps).await?;
            (explained.classification, Some(explained.explanation))
        }
    };
    let classification = match &query.narrow {
        None => classification,
        Some(narrow) => classification.narrowed(&app.pipeline.card().labels, query.top_k, narrow),
    };
    let Classification { predictions, image, timings, .. } = classification;
    Ok((Classified { predictions, image, explanation }, timings))
}

/// The photo with the map of one class over it.
async fn overlay(
    app: &App,
    bytes: Bytes,
    query: &Query,
    deadline: Deadline,
) -> Result<Response, Problem> {
    let (image, timings) = answer(app, bytes.clone(), query, deadline).await?;
    let Some(explanation) = image.explanation else { return Err(Problem::internal()) };
    let png = app.pipeline.overlay(bytes, explanation, deadline).await?;
    let response = ([(header::CONTENT_TYPE, "image/png")], png).into_response();
    Ok(answers::with_timing(response, &[timings]))
}
