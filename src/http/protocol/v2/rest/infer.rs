//! `POST …/infer`: computes the scores of images.

use axum::extract::Request;
use axum::response::Response;

use super::schemas::InferBody;
use super::write::InferDocument;
use super::{read, write};
use crate::http::openapi::{NamedModel, NamedModelProblems, Picture, Scheduling};
use crate::http::problem::Problem;
use crate::http::protocol::v2::request::InferRequest;
use crate::http::protocol::v2::run;
use crate::http::{App, answers, origin, upload};
use crate::pipeline::queue::{Deadline, RequestContext};

/// Run inference on images, with tensors as input and output
///
/// Tensors may also be sent as binary data after the JSON. `docs/protocols.md` describes both, and the tensors.
#[utoipa::path(
    post,
    path = "/v2/models/{model}/infer",
    tag = "inference protocol",
    operation_id = "v2_infer",
    params(NamedModel, Scheduling),
    request_body(content = InferBody, content_type = "application/json"),
    responses((status = 200, description = "The outputs, in the JSON or as binary data after it", content((InferDocument = "application/json"), (Picture = "application/octet-stream"))), NamedModelProblems),
)]
pub(in super::super) async fn infer(app: App, request: Request) -> Result<Response, Problem> {
    let limit = answers::time_limit(request.headers(), app.server.timeouts.request)?;
    let origin = origin::of(request.extensions());
    let json = read::json(request.headers())?;
    let body = upload::read_whole(&app, request).await?;
    let arrived = Deadline::after(limit);
    // Parsing millions of numbers takes too long for a thread that serves connections.
    let (reading, checking) = (app.clone(), app.clone());
    let json_bytes = json.bytes(body.len());
    let read = move || read::request(&reading, body, json);
    let (request, placements) = app.server.shared.parse(json_bytes, read).await?;
    let bytes = request.bytes_to_convert();
    let check = move || InferRequest::read(&checking, request);
    let infer = app.server.shared.parse(bytes, check).await?;
    let deadline = infer.time_limit.map_or(arrived, |own| arrived.sooner(own));
    let context = RequestContext { origin, deadline };
    let answer = run::run(&app, infer, &context).await?;
    Ok(write::response(&app.model, &answer, &placements))
}
