//! Hugging Face's image-classification task: `InferenceClient(url).image_classification(…)`.

use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::images::{self, ImageRequest, SentImage};
use super::parameters::{Parameters, Scored, by_name};
use crate::http::json::{self, ImageList, Text};
use crate::http::openapi::{
    NamedModel, NamedModelProblems, NetworkProblems, Picture, Pictures, Scheduling,
};
use crate::http::problem::Problem;
use crate::http::remote::DeclaredType;
use crate::http::upload::RequestImages;
use crate::http::{App, answers, query};
use utoipa::ToSchema;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HuggingFaceRequest<'a> {
    #[serde(borrow)]
    inputs: Inputs<'a>,
    #[serde(default, deserialize_with = "by_name")]
    parameters: Option<Parameters>,
    /// Options about caches and waiting, which do not apply here.
    #[serde(default, rename = "options")]
    _options: Option<IgnoredAny>,
}

/// The classes of one image, or a list of them for several images.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum HuggingFaceAnswer {
    One(Vec<Scored>),
    Several(Vec<Vec<Scored>>),
}

/// The JSON body, for `/openapi.json`.
#[derive(ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only a schema; the body is parsed without copying")]
pub(super) struct HuggingFaceBody {
    /// The image's bytes as base64, a list of several, or a URL with an allowed host. This schema has only the first.
    #[schema(
        content_encoding = "base64",
        min_length = 1,
        example = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNYWuYBAAMnAWRbFOqGAAAAAElFTkSuQmCC"
    )]
    inputs: String,
    parameters: Option<Parameters>,
    /// Ignored.
    options: Option<serde_json::Value>,
}

/// One image or several.
#[derive(Debug)]
enum Inputs<'a> {
    One(Text<'a>),
    Several(ImageList<Text<'a>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Inputs<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InputsVisitor;
        impl<'de> Visitor<'de> for InputsVisitor {
            type Value = Inputs<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an image as base64 or a URL, or a list of them")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Inputs::One(Text(text.into())))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Inputs::One(Text(text.to_owned().into())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Self::Value, A::Error> {
                json::image_list(sequence).map(|texts| Inputs::Several(ImageList(texts)))
            }
        }
        deserializer.deserialize_any(InputsVisitor)
    }
}

/// The form of the answer.
#[derive(Debug, Clone, Copy)]
enum Nesting {
    /// The classes of one image.
    One,
    /// A list with the classes of each image.
    Several,
}

/// Classify an image (Hugging Face's `InferenceClient`)
#[utoipa::path(
    post,
    path = "/",
    tag = "compatibility",
    operation_id = "huggingface",
    params(Scheduling),
    request_body(content((Picture = "application/octet-stream"), (Pictures = "multipart/form-data"), (HuggingFaceBody = "application/json")), description = "The image's bytes, a form, or JSON with `inputs`"),
    responses((status = 200, description = "Classes in descending order; for several images, a list of such lists", body = HuggingFaceAnswer), NetworkProblems),
)]
pub(super) async fn classify(
    app: App,
    typed: query::Typed,
    request: Request,
) -> Result<Response, Problem> {
    answer(&app, ImageRequest::of(&app, typed, request).await?).await
}

/// Classify an image, with the model's name in the path (Hugging Face)
#[utoipa::path(
    post,
    path = "/models/{model}",
    tag = "compatibility",
    operation_id = "huggingface_by_name",
    params(NamedModel, Scheduling),
    request_body(content((Picture = "application/octet-stream"), (Pictures = "multipart/form-data"), (HuggingFaceBody = "application/json")), description = "The image's bytes, a form, or JSON with `inputs`"),
    responses((status = 200, description = "Classes in descending order; for several images, a list of such lists", body = HuggingFaceAnswer), NamedModelProblems),
)]
pub(super) async fn classify_by_name(
    app: App,
    typed: query::Typed,
    request: Request,
) -> Result<Response, Problem> {
    answer(&app, ImageRequest::of(&app, typed, request).await?).await
}

fn read(
    app: &App,
    body: &Bytes,
    declared: DeclaredType,
) -> Result<(Vec<SentImage>, Parameters, Nesting), Problem> {
    let request: HuggingFaceRequest<'_> = json::read(body)?;
    let (texts, form) = match request.inputs {
        Inputs::One(text) => (vec![text], Nesting::One),
        Inputs::Several(ImageList(texts)) => (texts, Nesting::Several),
    };
    let images = images::of_json(app, body, declared, texts)?;
    Ok((images, request.parameters.unwrap_or_default(), form))
}

/// Answers JSON with `inputs`, or images as raw bytes or a form.
pub(super) async fn answer(app: &App, arrived: ImageRequest) -> Result<Response, Problem> {
    let ImageRequest { upload, declared, parameters, context } = arrived;
    let (images, parameters, form) = match upload {
        RequestImages::One(body) if json::is_object(&body) => {
            let reading = app.clone();
            let (images, own, form) = app
                .server
                .shared
                .parse(body.len(), move || read(&reading, &body, declared))
                .await?;
            (images, own.or(parameters), form)
        }
        RequestImages::One(bytes) => (vec![SentImage::Bytes(bytes)], parameters, Nesting::One),
        RequestImages::Several(parts) => (images::of_form(parts), parameters, Nesting::Several),
    };
    let (mut classes, timings) = images::classify(app, images, parameters, &context).await?;
    let answered = match form {
        Nesting::One => HuggingFaceAnswer::One(classes.pop().unwrap_or_default()),
        Nesting::Several => HuggingFaceAnswer::Several(classes),
    };
    Ok(answers::with_timing(Json(answered).into_response(), &timings))
}
