//! `GET /openapi.json`: the API description, generated from the handlers and the answer types.

mod problems; // the problems of each route
mod schemas; // schemas and parameters that routes share

use axum::Extension;
use axum::http::header;
use axum::response::IntoResponse;
use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, Info, InfoBuilder, License, OpenApi, OpenApiBuilder};

use problems::{AllFailed, Failure};

use super::unsent::SharedBytes;

pub(super) use problems::{
    NamedModelProblems, NetworkProblems, NotFound, NotReady, UploadProblems,
};
pub(super) use schemas::{ImageUrl, NamedModel, Picture, Pictures, Scheduling};

const ABOUT: &str = "\
Classifies images over HTTP.

Errors are problem documents (RFC 9457) that describe what is wrong and how to correct it. Status 503 \
means that the request was not processed now; usually a retry after the time in `Retry-After` succeeds. `docs/errors.md` \
describes when it does not. An unknown path answers `not-found`; a method that a \
path does not support answers `method-not-allowed`, with `Allow`.";

/// Tags in the order of the page, with their descriptions.
const TAGS: &[(&str, &str)] = &[
    ("images", "Classify, embed and preprocess images"),
    ("model", "The model and its settings"),
    ("compatibility", "Routes for clients of other servers; see `docs/protocols.md`"),
    (
        "inference protocol",
        "The Open Inference Protocol (version 2) of KServe and Triton, over REST; gRPC is available on the same port",
    ),
    ("operation", "Probes, metrics and this document"),
    ("pages", "Web pages; `--page off` disables them"),
];

/// The document before routes are added.
pub(super) fn outline() -> OpenApi {
    let tags = TAGS
        .iter()
        .map(|(name, what)| TagBuilder::new().name(*name).description(Some(*what)).build());
    let failure =
        ComponentsBuilder::new().schema_from::<Failure>().schema_from::<AllFailed>().build();
    OpenApiBuilder::new().info(info()).tags(Some(tags)).components(Some(failure)).build()
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

/// Whether requests need an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiKeys {
    Required,
    Off,
}

/// The serialised document.
#[derive(Debug, Clone)]
pub(super) struct OpenApiDocument(Bytes);

impl OpenApiDocument {
    /// Completes the document of all routes: adds headers that no handler declares, and the API key if `keys` are
    /// required.
    pub(super) fn of(routes: OpenApi, keys: ApiKeys) -> Self {
        let mut document = serde_json::to_value(routes).expect("all its maps have string keys");
        add_named(&mut document);
        add_headers(&mut document);
        unnest(&mut document);
        allow_unknown_members(&mut document);
        set_unique_operation_ids(&mut document);
        if keys == ApiKeys::Required {
            add_key(&mut document);
        }
        let text =
            serde_json::to_vec(&BytesFirst(&document)).expect("all its maps have string keys");
        Self(Bytes::from(text))
    }
}

/// A part of the document in which a body of raw bytes precedes the other bodies of a route, because
/// generated clients and the page at `/docs` offer the first one.
struct BytesFirst<'a>(&'a Value);

impl Serialize for BytesFirst<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => {
                let (first, rest): (Vec<_>, Vec<_>) =
                    members.iter().partition(|(name, _)| *name == "application/octet-stream");
                let ordered = first.into_iter().chain(rest);
                serializer.collect_map(ordered.map(|(name, value)| (name, BytesFirst(value))))
            }
            Value::Array(values) => serializer.collect_seq(values.iter().map(BytesFirst)),
            leaf @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                leaf.serialize(serializer)
            }
        }
    }
}

/// The OpenAPI document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Value, content_type = "application/json")),
)]
pub(super) async fn show(Extension(document): Extension<OpenApiDocument>) -> impl IntoResponse {
    (Extension(SharedBytes), [(header::CONTENT_TYPE, "application/json")], document.0)
}

/// Routes that also exist with a model in their path.
const NAMED: [&str; 3] = ["/classify", "/embed", "/preprocess"];

/// Adds these routes, which have the same handlers as those of the default model.
fn add_named(document: &mut Value) {
    const OF_MODEL: &str = "/v1/models/{model}";
    let show = document["paths"][OF_MODEL]["get"].clone();
    for route in NAMED {
        let mut path = document["paths"][route].clone();
        let post = &mut path["post"];
        let name = post["operationId"].as_str().unwrap_or_default();
        post["operationId"] = json!(format!("{name}_by_model"));
        let summary = post["summary"].as_str().unwrap_or_default();
        post["summary"] = json!(format!("{summary}, with the model in the path"));
        if let Some(parameters) = post["parameters"].as_array_mut() {
            parameters.insert(0, show["parameters"][0].clone());
        }
        post["responses"]["404"] = show["responses"]["404"].clone();
        document["paths"][format!("{OF_MODEL}{route}")] = path;
    }
}

/// Adds the headers that most answers have, and refers to them in all responses.
fn add_headers(document: &mut Value) {
    document["components"]["headers"] = json!({
        "X-Request-Id": {
            "description": "The request's own id if it has a valid one, otherwise a generated id; also in the log",
            "required": true,
            "schema": { "type": "string", "minLength": 1, "maxLength": 128 },
        },
        "X-Model-Digest": {
            "description": "SHA-256 of the graph of the model that answered, as in /v1/model",
            "schema": { "type": "string", "pattern": "^[0-9a-f]{64}$" },
        },
        "X-Model-Name": {
            "description": "The model that answered",
            "schema": { "type": "string" },
        },
        "X-Model-Fallback-For": {
            "description": "The requested model, if a cheaper one answered because of overload",
            "schema": { "type": "string" },
        },
        "X-Model-Version": {
            "description": "Its version",
            "schema": { "type": "string" },
        },
        "Retry-After": {
            "description": "Seconds until a retry may succeed, computed from the work in flight",
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
        let of_model = !["operation", "pages"].iter().any(|tag| operation["tags"][0] == *tag);
        let Some(responses) = operation["responses"].as_object_mut() else { continue };
        for (status, response) in responses {
            let mut names = vec!["X-Request-Id"];
            if of_model {
                names.extend(["X-Model-Name", "X-Model-Version", "X-Model-Digest"]);
                names.push("X-Model-Fallback-For");
            }
            match status.as_str() {
                "429" | "503" => names.push("Retry-After"),
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

/// Describes how the key is sent, for clients and the page at `/docs`.
fn add_key(document: &mut Value) {
    document["components"]["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "An API key" },
        "header": { "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key" },
    });
    document["security"] = json!([{ "bearer": [] }, { "header": [] }]);
}

/// Gives the second method of a handler with two methods its own operation id.
fn set_unique_operation_ids(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for put in paths.values_mut().filter_map(|path| path.get_mut("put")) {
        if let Some(name) = put["operationId"].as_str() {
            put["operationId"] = json!(format!("{name}_put"));
        }
    }
}

/// Merges an `allOf` inside an `allOf`. (They result from nested flattened types; some client generators
/// ignore the inner one.)
fn unnest(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    for parts in schemas.values_mut().filter_map(|schema| schema.get_mut("allOf")?.as_array_mut()) {
        let each = |mut part: Value| match part.get_mut("allOf").map(Value::take) {
            Some(Value::Array(inner)) => inner,
            _ => vec![part],
        };
        *parts = std::mem::take(parts).into_iter().flat_map(each).collect();
    }
}

/// Schemas of requests, which reject unknown members.
const REQUEST_SCHEMAS: [&str; 5] =
    ["HuggingFaceBody", "InstancesBody", "B64", "Parameters", "ImageUrl"];

/// Allows unknown members in answers, so that new members can be added. (A model card rejects them as input,
/// but not as part of an answer.)
fn allow_unknown_members(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    let answers = schemas.iter_mut().filter(|(name, _)| !REQUEST_SCHEMAS.contains(&name.as_str()));
    for schema in answers.filter_map(|(_, schema)| schema.as_object_mut()) {
        if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            schema.remove("additionalProperties");
        }
    }
}
