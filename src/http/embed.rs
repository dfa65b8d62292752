//! `POST /embed`: the features of one image, or of a form of several.

use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answers::Answer;
use super::openapi::{ImageUrl, NetworkProblems, Picture, Pictures, Scheduling};
use super::problem::Problem;
use super::remote::ReceivedImages;
use super::upload::{FormFile, RequestImages};
use super::{App, accept, answers, query, remote};
use crate::pipeline::queue::RequestContext;
use crate::pipeline::{ClassifyError, Embedding, ImageFacts, Normalize, Timings};

const NPY: &str = "application/x-npy";

/// The parameters of the route.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct EmbedParameters {
    /// Format of the vectors; json by default, or npy with Accept: application/x-npy
    #[param(inline)]
    format: Option<VectorFormat>,

    /// l2 scales each vector to length 1, so that dot products are cosine similarities
    #[param(inline)]
    normalize: Option<Normalize>,
}

/// The format of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum VectorFormat {
    /// As numbers.
    Json,
    /// As base64 of their little-endian bytes.
    Base64,
    /// Numpy's file format.
    Npy,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
struct EmbedRequest<'a> {
    form: VectorFormat,
    normalize: Normalize,
    context: &'a RequestContext,
}

/// The answer for one image.
#[derive(Debug, Serialize, ToSchema)]
struct Embedded {
    /// The length of the embedding.
    dimensions: usize,
    embedding: Vector,
    image: ImageFacts,
}

/// Numbers, or with `format=base64` their bytes: float32, little-endian.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Vector {
    Numbers(Vec<f32>),
    Text(String),
}

/// Compute an image's embedding
///
/// The input of the last linear layer, for most networks the mean of the last feature map: similar images have similar embeddings.
#[utoipa::path(
    post,
    path = "/embed",
    tag = "images",
    operation_id = "embed",
    params(
        EmbedParameters,
        Scheduling,
    ),
    request_body(content((Picture = "application/octet-stream"), (Pictures = "multipart/form-data"), (ImageUrl = "application/json")), description = "The image's bytes, a form with one or several files, or the URL of an image"),
    responses(
        (status = 200, description = "The embeddings; as npy a vector, or for several files a matrix with a row for each", content(
            (Answer<Embedded> = "application/json", example = json!({"model": "cifar10-resnet56", "dimensions": 64, "embedding": [2.45, 0.1, 0.8, 0.08, 0.92, 0.52, 0.13, 2.22, 0.15, 2.22, 0.17, 0.02, 0.02, 0.78, 0.54, 0.5, 1.24, 0.13, 1.66, 1.91, 1.17, 1.01, 0.5, 0.86, 0.46, 0.04, 0.52, 0.21, 0.96, 0.36, 0.15, 1.8, 0.34, 0.38, 1.07, 0.17, 0.1, 0.13, 0.33, 0.33, 1.76, 1.09, 1.59, 0.46, 0.19, 0.1, 0.08, 0.65, 1.59, 0.04, 0.19, 0.55, 0.19, 1.87, 0.29, 0.38, 0.25, 0.48, 0.1, 1.17, 2.01, 0.61, 0.36, 0.67], "image": {"width": 451, "height": 300, "format": "jpeg"}})),
            (Picture = "application/x-npy"),
        )),
        NetworkProblems,
    ),
)]
pub(super) async fn embed(
    app: App,
    typed: query::Typed,
    request: Request,
) -> Result<Response, Problem> {
    let mut pairs = query::pairs(typed)?;
    let mut parameters: EmbedParameters = query::read(&pairs)?;
    let by_accept = match accept::best(request.headers(), &["application/json", NPY]) {
        NPY => VectorFormat::Npy,
        _ => VectorFormat::Json,
    };
    let limit = answers::time_limit(request.headers(), app.server.timeouts.request)?;
    let names = query::names::<EmbedParameters>();
    let ReceivedImages { upload, fields, context } =
        remote::read(&app, request, limit, names).await?;
    if !fields.is_empty() {
        pairs.extend(fields);
        parameters = query::read(&pairs)?;
    }
    let form = parameters.format.unwrap_or(by_accept);
    let normalize = parameters.normalize.unwrap_or_default();
    let options = EmbedRequest { form, normalize, context: &context };
    let each = |bytes| answer(&app, bytes, options);
    let mut response = match (upload, form) {
        (RequestImages::One(bytes), VectorFormat::Json | VectorFormat::Base64) => {
            let (image, timings) = each(bytes).await?;
            answers::one(&app, image, timings)
        }
        (RequestImages::Several(parts), VectorFormat::Json | VectorFormat::Base64) => {
            answers::several(&app, parts, each, &context).await
        }
        (RequestImages::One(bytes), VectorFormat::Npy) => {
            let Embedding { values, timings, .. } = vector(&app, bytes, options).await?;
            let shape = format!("({},)", values.len());
            npy(&shape, &values, &[timings])
        }
        (RequestImages::Several(parts), VectorFormat::Npy) => matrix(&app, parts, options).await?,
    };
    accept::vary(&mut response);
    Ok(response)
}

async fn vector(
    app: &App,
    bytes: Bytes,
    options: EmbedRequest<'_>,
) -> Result<Embedding, ClassifyError> {
    app.model.pipeline.embed(bytes, options.context, options.normalize).await
}

async fn answer(
    app: &App,
    bytes: Bytes,
    options: EmbedRequest<'_>,
) -> Result<(Embedded, Timings), ClassifyError> {
    let Embedding { values, image, timings } = vector(app, bytes, options).await?;
    let dimensions = values.len();
    let embedding = match options.form {
        VectorFormat::Base64 => Vector::Text(BASE64_STANDARD.encode(little_endian(&values))),
        VectorFormat::Json | VectorFormat::Npy => Vector::Numbers(values),
    };
    Ok((Embedded { dimensions, embedding, image }, timings))
}

/// A matrix with a row for each image. It cannot contain a problem, so the first one is the whole
/// answer.
async fn matrix(
    app: &App,
    parts: Vec<FormFile>,
    options: EmbedRequest<'_>,
) -> Result<Response, Problem> {
    let each = async |bytes| {
        let Embedding { values, timings, .. } = vector(app, bytes, options).await?;
        Ok((values, timings))
    };
    let answers = answers::of_each(app, parts, each, options.context).await;
    let rows = answers.len();
    let (mut values, mut timings) = (Vec::new(), Vec::with_capacity(rows));
    for (_, answer) in answers {
        let (row, spent) = answer?;
        values.extend(row);
        timings.push(spent);
    }
    let shape = format!("({rows}, {})", values.len() / rows);
    Ok(npy(&shape, &values, &timings))
}

/// Format 1.0: magic, version, length of the header, the header padded to 64 bytes, the values.
fn npy(shape: &str, values: &[f32], timings: &[Timings]) -> Response {
    const BEFORE: usize = 10;
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let padding = 63 - (BEFORE + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("a shape of two numbers is short");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(length.to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(little_endian(values));
    let response = ([(header::CONTENT_TYPE, NPY)], file).into_response();
    answers::with_timing(response, timings)
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
