//! `POST /classify`: one image, a form of several, or the URL of one.

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::Answer;
use super::classify_parameters::ClassifyParameters;
use super::openapi::{ImageUrl, NetworkProblems, Picture, Pictures, Scheduling};
use super::problem::Problem;
use super::upload::RequestImages;
use super::{App, accept, answers, query, remote};
use crate::pipeline::explain::{Explanation, Maps};
use crate::pipeline::postprocess::{PostprocessOptions, Postprocessed};
use crate::pipeline::queue::RequestContext;
use crate::pipeline::topk::Prediction;
use crate::pipeline::{Classification, ClassifyError, ImageFacts, Timings};

/// What is answered for one image.
#[derive(Debug, Serialize, ToSchema)]
struct Classified {
    /// The most probable classes, in descending order.
    predictions: Vec<Prediction>,
    image: ImageFacts,
    /// The class activation maps, with `explain=cam`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    explanation: Option<Explanation>,
    #[serde(flatten)]
    postprocessed: Postprocessed,
}

/// Classify one or several images
///
/// The most probable classes of one image, or of each file of a form. With `explain=cam`, also class
/// activation maps: as numbers, or with `Accept: image/png` as an overlay on the photo.
///
/// In a form with several files, a file that fails has a problem document in its place. The status is
/// 200 if any file was classified, otherwise the highest of the problems' statuses.
#[utoipa::path(
    post,
    path = "/classify",
    tag = "images",
    operation_id = "classify",
    params(
        ClassifyParameters,
        Scheduling,
    ),
    request_body(content((Picture = "application/octet-stream"), (Pictures = "multipart/form-data"), (ImageUrl = "application/json")), description = "The image's bytes (the format is detected from them, whatever the content type), a form with one or several files, or the URL of an image"),
    responses(
        (status = 200, description = "The classes of the image or images; a PNG with explain=cam and `Accept: image/png`", content(
            (Answer<Classified> = "application/json", example = json!({"model": "cifar10-resnet56", "predictions": [{"label": "cat", "index": 3, "probability": 0.998_569_25}], "image": {"width": 451, "height": 300, "format": "jpeg"}})),
            (Picture = "image/png"),
        )),
        NetworkProblems,
    ),
)]
pub(super) async fn classify(
    app: App,
    pairs: query::Typed,
    request: Request,
) -> Result<Response, Problem> {
    let mut pairs = query::pairs(pairs)?;
    let headers = request.headers().clone();
    let mut asked = ClassifyRequest::of(&app, &pairs, &headers)?;
    let limit = answers::time_limit(&headers, app.server.timeouts.request)?;
    let arrived = remote::read(&app, request, limit, query::names::<ClassifyParameters>()).await?;
    if !arrived.fields.is_empty() {
        pairs.extend(arrived.fields);
        asked = ClassifyRequest::of(&app, &pairs, &headers)?;
    }
    respond(&app, asked, arrived.upload, &arrived.context).await
}

/// What a request asks for.
#[derive(Debug)]
pub(super) struct ClassifyRequest {
    /// The classes to map; `None` without `explain`, empty for the most probable class.
    explain: Option<Vec<usize>>,
    postprocess: PostprocessOptions,
    form: AnswerFormat,
}

impl ClassifyRequest {
    pub(super) fn of(
        app: &App,
        pairs: &[(String, String)],
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let (parameters, pipeline) =
            (query::read::<ClassifyParameters>(pairs)?, &app.model.pipeline);
        let explain = parameters.maps(pipeline.classes())?;
        let postprocess = parameters.postprocess(pipeline)?;
        let form = AnswerFormat::of(explain.as_deref(), headers)?;
        Ok(Self { explain, postprocess, form })
    }
}

/// The answer for uploaded images.
pub(super) async fn respond(
    app: &App,
    asked: ClassifyRequest,
    upload: RequestImages,
    context: &RequestContext,
) -> Result<Response, Problem> {
    let each = |bytes| answer(app, bytes, &asked, context);
    let mut response = match (upload, asked.form) {
        (RequestImages::One(bytes), AnswerFormat::Json) => {
            let (image, timings) = each(bytes).await?;
            answers::one(app, image, timings)
        }
        (RequestImages::Several(parts), AnswerFormat::Json) => {
            answers::several(app, parts, each, context).await
        }
        (RequestImages::One(bytes), AnswerFormat::Overlay) => {
            overlay(app, bytes, &asked, context).await?
        }
        (RequestImages::Several(_), AnswerFormat::Overlay) => {
            return Err(Problem::invalid_parameter(
                "image/png is available for one image only; send one file, or accept application/json",
            ));
        }
    };
    if asked.explain.is_some() {
        accept::vary(&mut response);
    }
    Ok(response)
}

/// The format of the answer.
#[derive(Debug, Clone, Copy)]
enum AnswerFormat {
    Json,
    Overlay,
}

impl AnswerFormat {
    fn of(explain: Option<&[usize]>, headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(classes) = explain else { return Ok(Self::Json) };
        if accept::best(headers, &["application/json", "image/png"]) == "application/json" {
            Ok(Self::Json)
        } else if classes.len() > 1 {
            Err(Problem::invalid_parameter(
                "image/png is available for one class only; name one class, or accept application/json",
            ))
        } else {
            Ok(Self::Overlay)
        }
    }
}

/// Classifies one image, with class activation maps if requested.
async fn answer(
    app: &App,
    bytes: Bytes,
    ClassifyRequest { explain, postprocess, .. }: &ClassifyRequest,
    context: &RequestContext,
) -> Result<(Classified, Timings), ClassifyError> {
    let pipeline = &app.model.pipeline;
    let (classification, explanation) = match explain.as_deref() {
        None => (pipeline.classify(bytes, context).await?, None),
        Some(classes) => {
            let maps = match classes {
                [] => Maps::BestOf(postprocess.selection.among()),
                classes => Maps::These(classes),
            };
            let explained = pipeline.explain(bytes, maps, context).await?;
            (explained.classification, Some(explained.explanation))
        }
    };
    let (predictions, postprocessed) = pipeline.postprocess(postprocess, &classification);
    let Classification { image, timings, .. } = classification;
    Ok((Classified { predictions, image, explanation, postprocessed }, timings))
}

/// The photo with a class activation map over it.
async fn overlay(
    app: &App,
    bytes: Bytes,
    asked: &ClassifyRequest,
    context: &RequestContext,
) -> Result<Response, Problem> {
    let (image, timings) = answer(app, bytes.clone(), asked, context).await?;
    let Some(explanation) = image.explanation else { return Err(Problem::internal()) };
    let png = app.model.pipeline.overlay(bytes, explanation, context).await?;
    let response = ([(header::CONTENT_TYPE, "image/png")], png).into_response();
    Ok(answers::with_timing(response, &[timings]))
}
