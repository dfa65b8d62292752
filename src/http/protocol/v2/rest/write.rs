//! Writes an answer as a body: JSON, followed by binary tensors.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::http::answers;
use crate::http::protocol::v2::run::{InferAnswer, OutputTensor, OutputValues};
use crate::registry::Served;

/// The header with the number of bytes of the JSON.
pub(super) const HEADER_LENGTH: &str = "inference-header-content-length";

/// The placement of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    /// In the JSON.
    Json,
    /// After the JSON, in binary.
    Binary,
}

/// The placement of each output.
#[derive(Debug)]
pub(super) struct Placements {
    usual: Placement,
    of_outputs: Vec<Placement>,
}

impl Placements {
    /// The placement of each output: its own in `binary`, or the default `all_binary` of the request.
    pub(super) fn new(all_binary: Option<bool>, binary: Vec<Option<bool>>) -> Self {
        let place = |binary| if binary { Placement::Binary } else { Placement::Json };
        let usual = place(all_binary.unwrap_or(false));
        let of_outputs = binary.into_iter().map(|own| own.map_or(usual, place)).collect();
        Self { usual, of_outputs }
    }

    /// The same placement for all outputs.
    pub(super) fn of_all(usual: Placement) -> Self {
        Self { usual, of_outputs: Vec::new() }
    }

    fn of(&self, index: usize) -> Placement {
        self.of_outputs.get(index).copied().unwrap_or(self.usual)
    }
}

/// The JSON of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InferDocument<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<JsonOutput<'a>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InferOutputTensor)]
struct JsonOutput<'a> {
    name: &'static str,
    #[schema(example = "FP32")]
    datatype: &'static str,
    /// Number of images, and of values for each.
    shape: [usize; 2],
    #[serde(flatten)]
    data: JsonData<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum JsonData<'a> {
    #[serde(rename = "data")]
    Floats(&'a [f32]),
    #[serde(rename = "data")]
    Texts(&'a [String]),
    Parameters {
        binary_data_size: usize,
    },
}

/// One object for all kinds, because generated clients cannot read a choice of objects inside another object.
impl PartialSchema for JsonData<'_> {
    fn schema() -> RefOr<Schema> {
        let of = |kind| ObjectBuilder::new().schema_type(kind);
        let value = OneOfBuilder::new().item(of(Type::Number)).item(of(Type::String));
        let behind = ObjectBuilder::new()
            .property("binary_data_size", of(Type::Integer).minimum(Some(0)))
            .required("binary_data_size");
        ObjectBuilder::new()
            .property("data", ArrayBuilder::new().items(value))
            .property("parameters", behind)
            .description(Some("The values, or the number of their bytes behind the JSON."))
            .into()
    }
}

impl ToSchema for JsonData<'_> {
    fn name() -> Cow<'static, str> {
        "InferOutputData".into()
    }
}

/// The answer of `model`, with its outputs placed according to `placements`.
pub(super) fn response(model: &Served, answer: &InferAnswer, placements: &Placements) -> Response {
    let mut binary = Vec::new();
    let outputs: Vec<_> = answer
        .outputs
        .iter()
        .enumerate()
        .map(|(index, answered)| output(answered, placements.of(index), &mut binary))
        .collect();
    let behind = outputs.iter().any(|output| matches!(output.data, JsonData::Parameters { .. }));
    let written = InferDocument {
        model_name: model.name(),
        model_version: model.version.as_str(),
        id: answer.id.as_deref(),
        outputs,
    };
    let mut body = serde_json::to_vec(&written).expect("lists of numbers and text are JSON");
    let json_length = body.len();
    body.extend(binary);
    let mut response = Body::from(body).into_response();
    let headers = response.headers_mut();
    let content_type = if behind { "application/octet-stream" } else { "application/json" };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if behind {
        headers.insert(HEADER_LENGTH, HeaderValue::from(json_length));
    }
    answers::with_timing(response, &answer.timings)
}

fn output<'a>(
    answered: &'a OutputTensor,
    placed: Placement,
    binary: &mut Vec<u8>,
) -> JsonOutput<'a> {
    let OutputTensor { name, shape, values } = answered;
    let data = match (placed, values) {
        (Placement::Json, OutputValues::Floats(floats)) => JsonData::Floats(floats),
        (Placement::Json, OutputValues::Texts(texts)) => JsonData::Texts(texts),
        (Placement::Binary, values) => {
            let raw = values.to_raw();
            binary.extend_from_slice(&raw);
            JsonData::Parameters { binary_data_size: raw.len() }
        }
    };
    JsonOutput { name, datatype: values.datatype().name(), shape: *shape, data }
}
