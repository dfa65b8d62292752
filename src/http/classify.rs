//! `POST /classify`: one image, a form of several, or the URL of one.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::Answer;
use super::openapi::{NetworkRefusals, Picture, Pictures, TimeLimit};
use super::problem::Problem;
use super::query::{self, Query};
use super::upload::Upload;
use super::{App, accept, answers, beside, remote};
use crate::pipeline::beside::{Beside, Told};
use crate::pipeline::explain::{Explanation, Maps};
use crate::pipeline::queue::RequestContext;
use crate::pipeline::topk::Prediction;
use crate::pipeline::{Classification, ClassifyError, ImageFacts, Timings};

/// What is answered for one image.
#[derive(Debug, Serialize, ToSchema)]
struct Classified {
    /// The most probable classes, falling.
    predictions: Vec<Prediction>,
    image: ImageFacts,
    /// Where in the photo the scores come from, with `explain=cam`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    explanation: Option<Explanation>,
    #[serde(flatten)]
    told: Told,
}

/// What is in a photo
///
/// The most probable classes of one image, or of each file of a form. With `explain=cam` also where in
/// the photo a score comes from: as numbers, or laid over the photo with `Accept: image/png`.
///
/// A bad file in a form of several is answered by a problem in its place. The status is 200 if any file
/// was answered, else the highest of their statuses.
#[utoipa::path(
    post,
    path = "/classify",
    tag = "images",
    operation_id = "classify",
    params(
        ("top_k" = Option<usize>, Query, minimum = 1, example = 5,
         description = "How many classes; 5 where it is not there, and of a multi-label network with a threshold all that reach it"),
        ("labels" = Option<Vec<String>>, Query, example = json!(["cat", "dog"]),
         description = "Only these classes, which share the probability, or keep their own in a multi-label network: labels or indices, also several in one, with commas"),
        ("threshold" = Option<f32>, Query, minimum = 0, maximum = 1, example = 0.0,
         description = "Only classes that are at least so probable"),
        ("explain" = inline(Option<Explain>), Query,
         description = "cam for class activation maps"),
        ("class" = Option<Vec<String>>, Query, max_items = 32, example = json!([]),
         description = "Which classes to map, labels or indices; the best one where it is not there. Only with explain=cam"),
        ("coverage" = Option<f64>, Query, minimum = 0, maximum = 1,
         description = "Every class that may be the truth: the smallest set that holds it for this share of images. In the place of top_k, labels and threshold; the model's card has to promise it"),
        ("max_set" = Option<usize>, Query, minimum = 1,
         description = "With coverage: a set of more classes than this is marked `abstained`"),
        ("rollup" = inline(Option<RollUpBy>), Query,
         description = "What the classes have in common, with the sum of their probabilities; for models of ImageNet's classes"),
        ("share" = Option<f64>, Query, minimum = 0, maximum = 1,
         description = "With rollup: what each rung's probability reaches"),
        TimeLimit,
    ),
    request_body(content((Picture = "application/octet-stream"), (Pictures = "multipart/form-data")), description = "The image's bytes, whatever their content type says: the bytes are looked at. Or a form with one or several files"),
    responses(
        (status = 200, description = "Classes", content(
            (Answer<Classified> = "application/json", example = json!({"model": "cifar10-resnet56", "predictions": [{"label": "cat", "index": 3, "probability": 0.999_942_8}], "image": {"width": 451, "height": 300, "format": "jpeg"}})),
            (Picture = "image/png"),
        )),
        NetworkRefusals,
    ),
)]
pub(super) async fn classify(
    State(app): State<App>,
    pairs: query::Typed,
    request: Request,
) -> Result<Response, Problem> {
    let mut pairs = query::pairs(pairs)?;
    let headers = request.headers().clone();
    let mut asked = Asked::of(&app, &pairs, &headers)?;
    let limit = answers::time_limit(&headers, app.timeouts.request)?;
    let arrived = remote::read(&app, request, limit, query::NAMES).await?;
    if !arrived.fields.is_empty() {
        pairs.extend(arrived.fields);
        asked = Asked::of(&app, &pairs, &headers)?;
    }
    respond(&app, asked, arrived.upload, &arrived.context).await
}

/// What is wanted of a request's images.
#[derive(Debug)]
pub(super) struct Asked {
    query: Query,
    beside: Beside,
    form: Form,
}

impl Asked {
    pub(super) fn of(
        app: &App,
        pairs: &[(String, String)],
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let query = Query::read(pairs, &app.shared.classes, app.pipeline.card().task)?;
        let beside = beside::read(pairs, &app.pipeline)?;
        let form = Form::of(&query, headers)?;
        Ok(Self { query, beside, form })
    }
}

/// The answer for images that are here.
pub(super) async fn respond(
    app: &App,
    asked: Asked,
    upload: Upload,
    context: &RequestContext,
) -> Result<Response, Problem> {
    let Asked { query, beside, form } = asked;
    let each = |bytes| answer(app, bytes, (&query, &beside), context);
    let mut response = match (upload, form) {
        (Upload::One(bytes), Form::Json) => answers::one(app, each(bytes).await?),
        (Upload::Several(parts), Form::Json) => answers::several(app, parts, each, context).await,
        (Upload::One(bytes), Form::Overlay) => {
            overlay(app, bytes, (&query, &beside), context).await?
        }
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

/// How a score is explained.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "a query is read by hand; this is only its schema")]
enum Explain {
    Cam,
}

/// What a roll-up goes by.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "a query is read by hand; this is only its schema")]
enum RollUpBy {
    Wordnet,
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
    (query, beside): (&Query, &Beside),
    context: &RequestContext,
) -> Result<(Classified, Timings), ClassifyError> {
    let (classification, explanation) = match &query.explain {
        None => (app.pipeline.classify(bytes, query.top_k, context).await?, None),
        Some(classes) => {
            let among = query.narrow.as_ref().map_or(&[][..], |narrow| &narrow.among);
            let maps = match &classes[..] {
                [] => Maps::BestOf(among),
                classes => Maps::These(classes),
            };
            let explained = app.pipeline.explain(bytes, query.top_k, maps, context).await?;
            (explained.classification, Some(explained.explanation))
        }
    };
    let classification = match &query.narrow {
        None => classification,
        Some(narrow) => classification.narrowed(&app.pipeline.card().labels, query.top_k, narrow),
    };
    let (classification, told) = app.pipeline.tell(beside, classification);
    let Classification { predictions, image, timings, .. } = classification;
    Ok((Classified { predictions, image, explanation, told }, timings))
}

/// The photo with the map of one class over it.
async fn overlay(
    app: &App,
    bytes: Bytes,
    asked: (&Query, &Beside),
    context: &RequestContext,
) -> Result<Response, Problem> {
    let (image, timings) = answer(app, bytes.clone(), asked, context).await?;
    let Some(explanation) = image.explanation else { return Err(Problem::internal()) };
    let png = app.pipeline.overlay(bytes, explanation, context).await?;
    let response = ([(header::CONTENT_TYPE, "image/png")], png).into_response();
    Ok(answers::with_timing(response, &[timings]))
}
