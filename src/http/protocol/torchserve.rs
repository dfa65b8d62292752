//! TorchServe: `POST` or `PUT /predictions/{model}[/{version}]`, answered like TorchServe's image classifier.

use std::collections::HashSet;

use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::images::{self, AnswerClasses, ImageRequest, SentImage};
use crate::http::openapi::{NamedModel, NamedModelProblems, Picture, Pictures, Scheduling};
use crate::http::problem::Problem;
use crate::http::upload::RequestImages;
use crate::http::{App, answers, query};

/// Classify an image (TorchServe's image classifier)
#[utoipa::path(
    method(post, put),
    path = "/predictions/{model}",
    tag = "compatibility",
    operation_id = "torchserve",
    params(NamedModel, Scheduling),
    request_body(content((Picture = "application/octet-stream"), (Pictures = "multipart/form-data")), description = "The image's bytes, or a form with one file; `PUT` is the same"),
    responses((status = 200, description = "Probability by label, in descending order", body = HashMap<String, f32>), NamedModelProblems),
)]
pub(super) async fn predict(
    app: App,
    typed: query::Typed,
    request: Request,
) -> Result<Response, Problem> {
    let ImageRequest { upload, parameters, context, .. } =
        ImageRequest::of(&app, typed, request).await?;
    let RequestImages::One(bytes) = upload else {
        return Err(Problem::invalid_parameter(
            "this route accepts one image; send several to /classify",
        ));
    };
    let images = vec![SentImage::Bytes(bytes)];
    let (mut classes, timings) = images::classify(&app, images, parameters, &context).await?;
    let scores = LabelScores(classes.pop().unwrap_or_default());
    Ok(answers::with_timing(Json(scores).into_response(), &timings))
}

/// An object with probability by label, in descending order.
struct LabelScores(AnswerClasses);

impl Serialize for LabelScores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.0.len()))?;
        let mut known = HashSet::new();
        for (place, class) in self.0.iter().enumerate() {
            // Two classes with the same name would have the same key, so the second gets a number.
            if known.insert(&class.label) {
                object.serialize_entry(&class.label, &class.score)?;
            } else {
                let label = format!("{} ({})", class.label, place + 1);
                object.serialize_entry(&label, &class.score)?;
            }
        }
        object.end()
    }
}
