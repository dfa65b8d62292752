//! What JSON says, for `/openapi.json`: a request is read in place, with binary tensors behind it.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};

/// A request to infer. Binary tensors, which stand behind the JSON, are told of in docs/protocols.md.
#[derive(ToSchema, Deserialize)]
#[schema(example = json!({
    "inputs": [{
        "name": "image", "shape": [1], "datatype": "BYTES",
        "data": ["iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNYWuYBAAMnAWRbFOqGAAAAAElFTkSuQmCC"],
    }],
    "outputs": [{ "name": "probabilities", "parameters": { "classification": 3 } }],
}))]
#[expect(dead_code, reason = "only a schema")]
pub(super) struct InferBody {
    /// Comes back with the answer.
    id: Option<String>,
    /// `timeout` in microseconds, `binary_data_output`; others change nothing.
    parameters: Option<Named>,
    /// One of the three that the model's metadata tell.
    #[schema(min_items = 1, max_items = 1)]
    inputs: Vec<InferInput>,
    /// Those that are wanted; without them, or with null, probabilities and logits.
    #[schema(max_items = 3)]
    outputs: Option<Vec<InferOutput>>,
}

/// Values by their names.
#[derive(ToSchema, Deserialize)]
#[expect(dead_code, reason = "only a schema")]
pub(super) struct Named {
    #[schema(schema_with = count)]
    timeout: Option<u64>,
    binary_data_output: Option<bool>,
}

/// A whole number of any size, or none.
fn count() -> ObjectBuilder {
    let types = SchemaType::from_iter([Type::Integer, Type::Null]);
    ObjectBuilder::new().schema_type(types).minimum(Some(0))
}

/// Images, as a tensor.
#[derive(ToSchema, Deserialize)]
#[expect(dead_code, reason = "only a schema")]
pub(super) struct InferInput {
    name: InputName,
    /// The number of images first.
    #[schema(min_items = 1, max_items = 4)]
    shape: Vec<i64>,
    datatype: InputType,
    /// Nested as the shape or flat; files in base64.
    data: Vec<Value>,
}

/// Ready pixels, normalised floats, or files.
#[derive(ToSchema, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum InputName {
    Pixels,
    Input,
    Image,
}

/// Of `pixels`, `input` and `image`.
#[derive(ToSchema, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum InputType {
    Uint8,
    Fp32,
    Bytes,
}

/// An output that is wanted.
#[derive(ToSchema, Deserialize)]
#[expect(dead_code, reason = "only a schema")]
pub(super) struct InferOutput {
    name: OutputName,
    parameters: Option<OfOutput>,
}

/// Probabilities, the logits that they are made of, or the pooled features.
#[derive(ToSchema, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OutputName {
    Probabilities,
    Logits,
    Embedding,
}

/// How an output is wanted.
#[derive(ToSchema, Deserialize)]
#[expect(dead_code, reason = "only a schema")]
pub(super) struct OfOutput {
    /// So many classes as "value:index:label" instead of scores.
    #[schema(schema_with = count)]
    classification: Option<u64>,
    /// Behind the JSON, in binary.
    binary_data: Option<bool>,
}
