//! SageMaker: `POST /invocations`. The format of the answer depends on that of the request.

use axum::extract::Request;
use axum::response::Response;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::huggingface::{self, HuggingFaceBody};
use super::images::ImageRequest;
use super::instances::{self, InstancesBody};
use super::parameters::Parameters;
use crate::http::classify::{self, ClassifyRequest};
use crate::http::classify_parameters::ClassifyParameters;
use crate::http::json;
use crate::http::openapi::{ImageUrl, NetworkProblems, Picture, Pictures, Scheduling};
use crate::http::problem::Problem;
use crate::http::remote::{self, DeclaredType};
use crate::http::upload::{self, RequestImages};
use crate::http::{App, answers, origin, query};
use crate::pipeline::queue::{Deadline, RequestContext};
use utoipa::ToSchema;

/// Members that determine the format of a JSON body.
#[derive(Debug, Deserialize)]
struct BodyFormat {
    #[serde(default)]
    inputs: Option<IgnoredAny>,
    #[serde(default)]
    instances: Option<IgnoredAny>,
}

/// The JSON body, for `/openapi.json`: that of Hugging Face's task, of Vertex AI, or of `/classify`.
#[derive(ToSchema, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only a schema; the body is parsed without copying")]
pub(super) enum InvocationsBody {
    Inputs(HuggingFaceBody),
    Instances(InstancesBody),
    Url(ImageUrl),
}

/// Classify images (SageMaker); the answer has the format of the request
#[utoipa::path(
    post,
    path = "/invocations",
    tag = "compatibility",
    operation_id = "sagemaker",
    params(Scheduling),
    request_body(content((Picture = "application/octet-stream"), (Pictures = "multipart/form-data"), (InvocationsBody = "application/json")), description = "The image's bytes, a form, or JSON with `inputs`, `instances` or `url`"),
    responses((status = 200, description = "As for /classify, or in the format that corresponds to the request's JSON", body = serde_json::Value), NetworkProblems),
)]
pub(in crate::http) async fn invoke(
    app: App,
    typed: query::Typed,
    request: Request,
) -> Result<Response, Problem> {
    let mut pairs = query::pairs(typed)?;
    let (declared, headers) = (DeclaredType::of(request.headers()), request.headers().clone());
    let limit = answers::time_limit(&headers, app.server.timeouts.request)?;
    let origin = origin::of(request.extensions());
    let (upload, fields) =
        upload::read(&app, request, query::names::<ClassifyParameters>()).await?;
    pairs.extend(fields);
    let context = RequestContext { origin, deadline: Deadline::after(limit) };
    if let RequestImages::One(body) = &upload
        && json::is_object(body)
    {
        let body = body.clone();
        let BodyFormat { inputs, instances } =
            app.server.shared.parse(body.len(), move || json::read(&body)).await?;
        if inputs.is_some() || instances.is_some() {
            let parameters = Parameters::of(&pairs)?;
            let arrived = ImageRequest { upload, declared, parameters, context };
            return match inputs {
                Some(_) => huggingface::answer(&app, arrived).await,
                None => instances::answer(&app, arrived).await,
            };
        }
    }
    let asked = ClassifyRequest::of(&app, &pairs, &headers)?;
    let upload = remote::follow(&app, upload, declared, context.deadline).await?;
    classify::respond(&app, asked, upload, &context).await
}
