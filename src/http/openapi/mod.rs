//! `GET /openapi.json`: the API for programs, made of the handlers' and the answers' own definitions.

mod refusals; // the problems of a route
mod shapes; // what routes share

use axum::Extension;
use axum::http::header;
use axum::response::IntoResponse;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Info, InfoBuilder, License, OpenApi, OpenApiBuilder};

use super::unsent::OneCopy;

pub(super) use refusals::{NamedRefusals, NetworkRefusals, NotFound, NotReady, UploadRefusals};
pub(super) use shapes::{NamedModel, Picture, Pictures, TimeLimit};

const ABOUT: &str = "\
A photo in, its classes out.

Errors are problem documents (RFC 9457) that say what was wrong and what would be right. 503 always means \
“try again”, with a computed `Retry-After`. A path that is not there answers `not-found`, a method that a path \
does not take `method-not-allowed`, with `Allow`.";

/// Tags, in the order of the page, and what is under them.
const TAGS: &[(&str, &str)] = &[
    ("images", "Photos in"),
    ("model", "What is served"),
    ("shapes", "The same in the shapes of other servers; `docs/protocols.md` tells which"),
    (
        "inference protocol",
        "The Open Inference Protocol, version 2, over REST, as KServe and Triton have it; over gRPC, on the same port, `grpcurl` shows it",
    ),
    ("operation", "For probes, scrapers and programs"),
    ("pages", "For people; `--page off` takes them away"),
];

/// What is said of the whole before any route is.
pub(super) fn outline() -> OpenApi {
    let tags = TAGS
        .iter()
        .map(|(name, what)| TagBuilder::new().name(*name).description(Some(*what)).build());
    OpenApiBuilder::new().info(info()).tags(Some(tags)).build()
}

fn info() -> Info {
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    InfoBuilder::new()
        .title("resnetd")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license))
        .build()
}

/// The document, written once.
#[derive(Debug, Clone)]
pub(super) struct Document(Bytes);

impl Document {
    /// Of every route, with the headers that no handler sets.
    pub(super) fn of(routes: OpenApi) -> Self {
        let mut document = serde_json::to_value(routes).expect("it has no maps with odd keys");
        add_headers(&mut document);
        open_answers(&mut document);
        tell_apart(&mut document);
        Self(Bytes::from(document.to_string()))
    }
}

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Value, content_type = "application/json")),
)]
pub(super) async fn show(Extension(document): Extension<Document>) -> impl IntoResponse {
    (Extension(OneCopy), [(header::CONTENT_TYPE, "application/json")], document.0)
}

/// Headers of `layers`, `problem` and `answers`, told once and named where they are.
fn add_headers(document: &mut Value) {
    document["components"]["headers"] = json!({
        "X-Request-Id": {
            "description": "The request's own, or a new one; it is in the log",
            "required": true,
            "schema": { "type": "string", "minLength": 1, "maxLength": 128 },
        },
        "X-Model-Digest": {
            "description": "SHA-256 of the graph that answers, as /v1/model has it",
            "required": true,
            "schema": { "type": "string", "pattern": "^[0-9a-f]{64}$" },
        },
        "Retry-After": {
            "description": "Seconds until it is worth trying again, computed from the speed that was measured",
            "required": true,
            "schema": { "type": "integer", "minimum": 0 },
        },
        "Server-Timing": {
            "description": "Milliseconds in each stage, summed over the images (W3C)",
            "required": true,
            "schema": { "type": "string" },
            "example": "decode-wait;dur=0.052, decode;dur=1.734, preprocess;dur=0.310, queue;dur=0.041, inference;dur=1.206",
        },
    });
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        let of_images = operation["tags"][0] == "images";
        let Some(responses) = operation["responses"].as_object_mut() else { continue };
        for (status, response) in responses {
            let mut names = vec!["X-Request-Id", "X-Model-Digest"];
            match status.as_str() {
                "503" => names.push("Retry-After"),
                "200" if of_images => names.push("Server-Timing"),
                _ => {}
            }
            for name in names {
                let there = format!("#/components/headers/{name}");
                response["headers"][name] = json!({ "$ref": there });
            }
        }
    }
}

/// A handler of two methods is two operations, each with a name of its own.
fn tell_apart(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for put in paths.values_mut().filter_map(|path| path.get_mut("put")) {
        if let Some(name) = put["operationId"].as_str() {
            put["operationId"] = json!(format!("{name}_put"));
        }
    }
}

/// What is read of a request and nowhere answered: what is not known there is refused.
const ASKED: [&str; 4] = ["HuggingFaceBody", "InstancesBody", "B64", "Parameters"];

/// A card that is read must hold nothing unknown; what is answered may get more members, and a card is
/// only a part of one answer.
fn open_answers(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    let answers = schemas.iter_mut().filter(|(name, _)| !ASKED.contains(&name.as_str()));
    for schema in answers.filter_map(|(_, schema)| schema.as_object_mut()) {
        if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            schema.remove("additionalProperties");
        }
    }
}
