//! Vertex AI and KServe: a request `{"instances": […], "parameters": {…}}` is answered with `{"predictions":
//! […]}`.

use std::fmt;

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::images::{self, AnswerClasses, ImageRequest, SentImage};
use super::parameters::{Parameters, by_name};
use crate::http::json::{self, ImageList, Text};
use crate::http::problem::Problem;
use crate::http::remote::DeclaredType;
use crate::http::upload::RequestImages;
use crate::http::{App, answers};
use utoipa::ToSchema;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct InstancesRequest<'a> {
    #[serde(borrow)]
    instances: ImageList<Instance<'a>>,
    #[serde(default, deserialize_with = "by_name")]
    parameters: Option<Parameters>,
    /// TensorFlow Serving's choice of a model's function; there is only one here.
    #[serde(default, rename = "signature_name")]
    _signature_name: Option<IgnoredAny>,
}

/// The JSON body, for `/openapi.json`.
#[derive(ToSchema, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only a schema; the body is parsed without copying")]
pub(super) struct InstancesBody {
    /// Images: base64 or a URL, or objects with it in `b64`, `image_bytes`, `image`, `content` or `url`. This schema has
    /// only `b64`.
    #[schema(min_items = 1, max_items = 256)]
    instances: Vec<B64>,
    parameters: Option<Parameters>,
    /// Ignored.
    signature_name: Option<serde_json::Value>,
}

/// An encoded image.
#[derive(ToSchema, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only a schema")]
pub(super) struct B64 {
    /// Its bytes as base64.
    #[schema(
        content_encoding = "base64",
        min_length = 1,
        example = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNYWuYBAAMnAWRbFOqGAAAAAElFTkSuQmCC"
    )]
    b64: String,
}

/// The classes of each instance, in order.
#[derive(Debug, serde::Serialize, ToSchema)]
pub(super) struct Predictions {
    #[schema(value_type = Vec<Vec<super::parameters::Scored>>)]
    predictions: Vec<AnswerClasses>,
}

/// `"…"`, `{"b64": "…"}` or `{"image_bytes": {"b64": "…"}}`.
#[derive(Debug)]
struct Instance<'a>(Text<'a>);

/// Member names of an instance's text.
const NAMES: &[&str] = &["b64", "image_bytes", "image", "content", "url"];

impl<'de: 'a, 'a> Deserialize<'de> for Instance<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InstanceVisitor;
        impl<'de> Visitor<'de> for InstanceVisitor {
            type Value = Instance<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an encoded image, as in {\"b64\": \"…\"}, or its base64 or URL alone")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Instance(Text(text.into())))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Instance(Text(text.to_owned().into())))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut instance = None;
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    match &*name.0 {
                        "mimeType" => drop(map.next_value::<IgnoredAny>()?),
                        name if !NAMES.contains(&name) => {
                            return Err(A::Error::unknown_field(name, NAMES));
                        }
                        _ if instance.is_some() => {
                            return Err(A::Error::custom(
                                "an instance must have exactly one image",
                            ));
                        }
                        _ => instance = Some(map.next_value::<Instance<'de>>()?),
                    }
                }
                instance.ok_or_else(|| A::Error::missing_field("b64"))
            }
        }
        deserializer.deserialize_any(InstanceVisitor)
    }
}

fn read(
    app: &App,
    body: &Bytes,
    declared: DeclaredType,
) -> Result<(Vec<SentImage>, Parameters), Problem> {
    let request: InstancesRequest<'_> = json::read(body)?;
    let texts = request.instances.0.into_iter().map(|Instance(text)| text);
    let images = images::of_json(app, body, declared, texts)?;
    Ok((images, request.parameters.unwrap_or_default()))
}

/// Answers such a body, or images as raw bytes or a form.
pub(super) async fn answer(app: &App, arrived: ImageRequest) -> Result<Response, Problem> {
    let ImageRequest { upload, declared, parameters, context } = arrived;
    let (images, parameters) = match upload {
        RequestImages::One(body) if json::is_object(&body) => {
            let reading = app.clone();
            let (images, own) = app
                .server
                .shared
                .parse(body.len(), move || read(&reading, &body, declared))
                .await?;
            (images, own.or(parameters))
        }
        RequestImages::One(bytes) => (vec![SentImage::Bytes(bytes)], parameters),
        RequestImages::Several(parts) => (images::of_form(parts), parameters),
    };
    let (predictions, timings) = images::classify(app, images, parameters, &context).await?;
    let response = Json(Predictions { predictions }).into_response();
    Ok(answers::with_timing(response, &timings))
}
