//! `POST /preprocess`: the network's input for an image.

use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::answers::Answer;
use super::openapi::{ImageUrl, Picture, Pictures, Scheduling, UploadProblems};
use super::problem::Problem;
use super::query::NoParameters;
use super::remote::ReceivedImages;
use super::upload::RequestImages;
use super::{App, accept, answers, query, remote};
use crate::pipeline::PreprocessSteps;

/// Preprocess an image
///
/// The network's input (decoded, upright, resized and cropped) as a PNG. With `Accept: application/json`, and
/// always for several files, the preprocessing steps as JSON.
#[utoipa::path(
    post,
    path = "/preprocess",
    tag = "images",
    operation_id = "preprocess",
    params(Scheduling),
    request_body(content((Picture = "application/octet-stream"), (Pictures = "multipart/form-data"), (ImageUrl = "application/json")), description = "The image's bytes, a form with one or several files, or the URL of an image"),
    responses(
        (status = 200, description = "The network's input, or the preprocessing steps", content(
            (Picture = "image/png"),
            (Answer<PreprocessSteps> = "application/json"),
        )),
        UploadProblems,
    ),
)]
pub(super) async fn preprocess(
    app: App,
    typed: query::Typed,
    request: Request,
) -> Result<Response, Problem> {
    let NoParameters {} = query::read(&query::pairs(typed)?)?;
    let form = accept::best(request.headers(), &["image/png", "application/json"]);
    let limit = answers::time_limit(request.headers(), app.server.timeouts.request)?;
    let ReceivedImages { upload, context, .. } = remote::read(&app, request, limit, &[]).await?;
    let preview = |bytes| app.model.pipeline.preview(bytes, &context);
    let mut response = match upload {
        RequestImages::Several(parts) => {
            let each = async |bytes| {
                let preview = preview(bytes).await?;
                Ok((preview.steps, preview.timings))
            };
            answers::several(&app, parts, each, &context).await
        }
        RequestImages::One(bytes) if form == "application/json" => {
            let preview = preview(bytes).await?;
            answers::one(&app, preview.steps, preview.timings)
        }
        RequestImages::One(bytes) => {
            let preview = preview(bytes).await?;
            let png = ([(header::CONTENT_TYPE, "image/png")], preview.png).into_response();
            answers::with_timing(png, &[preview.timings])
        }
    };
    accept::vary(&mut response);
    Ok(response)
}
