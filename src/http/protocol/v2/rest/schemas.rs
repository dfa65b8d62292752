//! Schemas of requests for `/openapi.json`. The types that parse requests borrow from the body, so they have none.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};

/// An inference request. docs/protocols.md describes binary tensors, which follow the JSON.
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
    /// Repeated in the answer.
    id: Option<String>,
    /// `timeout` in microseconds, and `binary_data_output`; others are ignored.
    parameters: Option<InferParameters>,
    /// One of the three inputs of the model's metadata.
    #[schema(min_items = 1, max_items = 1)]
    inputs: Vec<InferInput>,
    /// The requested outputs; probabilities and logits if missing or null.
    #[schema(max_items = 3)]
    outputs: Option<Vec<InferOutput>>,
}

/// Values by their names.
#[derive(ToSchema, Deserialize)]
#[expect(dead_code, reason = "only a schema")]
pub(super) struct InferParameters {
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

/// Preprocessed pixels, normalised floats, or image files.
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

/// A requested output.
#[derive(ToSchema, Deserialize)]
#[expect(dead_code, reason = "only a schema")]
pub(super) struct InferOutput {
    name: OutputName,
    parameters: Option<OfOutput>,
}

/// Scores after or before the softmax, or the embedding.
#[derive(ToSchema, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OutputName {
    Probabilities,
    Logits,
    Embedding,
}

/// Parameters of a requested output.
#[derive(ToSchema, Deserialize)]
#[expect(dead_code, reason = "only a schema")]
pub(super) struct OfOutput {
    /// Return this many classes as "value:index:label" instead of scores.
    #[schema(schema_with = count)]
    classification: Option<u64>,
    /// Send the output as binary data after the JSON.
    binary_data: Option<bool>,
}
