//! Reads a request from a body: JSON, followed by binary tensors.

use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::{Buf, Bytes};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::elements;
use super::short_list::short_list;
use super::write::{HEADER_LENGTH, Placement, Placements};
use crate::http::App;
use crate::http::json::{is_object, without_mark};
use crate::http::problem::{Problem, excerpt};
use crate::http::protocol::v2::parameters::V2Parameters;
use crate::http::protocol::v2::request::{self, UncheckedRequest};
use crate::http::protocol::v2::signature::NamedInput;
use crate::http::protocol::v2::tensor::{Datatype, InferTensor, TensorData};
use crate::http::reserved_bytes::with_reservation;
use crate::pipeline::queue::Reservation;

/// The part of a body that is JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Json {
    /// The whole body: there are no binary tensors.
    All,
    /// This many bytes at the beginning.
    First(usize),
    /// Nothing: the body is the data of one input.
    None,
}

impl Json {
    /// Bytes of JSON in a body of `body` bytes.
    pub(super) fn bytes(self, body: usize) -> usize {
        match self {
            Self::All => body,
            Self::First(length) => length,
            Self::None => 0,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Request<'a> {
    id: Option<String>,
    parameters: Option<V2Parameters>,
    #[serde(borrow, deserialize_with = "short_list")]
    inputs: Vec<JsonInput<'a>>,
    #[serde(default, deserialize_with = "short_list")]
    outputs: Vec<Requested>,
}

#[derive(Debug, Deserialize)]
struct JsonInput<'a> {
    name: String,
    #[serde(deserialize_with = "short_list")]
    shape: Vec<i64>,
    datatype: String,
    parameters: Option<V2Parameters>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Requested {
    name: String,
    parameters: Option<V2Parameters>,
}

/// The part of the body that is JSON, according to the headers.
pub(super) fn json(headers: &HeaderMap) -> Result<Json, Problem> {
    let Some(value) = headers.get(HEADER_LENGTH) else { return Ok(Json::All) };
    match value.to_str().ok().and_then(|text| text.trim().parse().ok()) {
        Some(0) => Ok(Json::None),
        Some(length) => Ok(Json::First(length)),
        None => Err(Problem::invalid_parameter(format!(
            "Inference-Header-Content-Length is {value:?}; it is the number of bytes of JSON at \
             the beginning of the body"
        ))),
    }
}

/// The request in `body`, and the placement of its outputs.
pub(super) fn request(
    app: &App,
    body: Bytes,
    json: Json,
) -> Result<(UncheckedRequest, Placements), Problem> {
    let (text, mut binary) = match json {
        Json::None => return Ok((one_file(body), Placements::of_all(Placement::Binary))),
        Json::All => (body, Bytes::new()),
        Json::First(length) if length > body.len() => {
            return Err(Problem::invalid_parameter(format!(
                "Inference-Header-Content-Length is {length}, and the body has {} bytes",
                body.len()
            )));
        }
        Json::First(length) => (body.slice(..length), body.slice(length..)),
    };
    let Request { id, parameters, inputs, outputs } =
        serde_json::from_slice(without_mark(&text)).map_err(|error| unreadable(&text, &error))?;
    let id = request::checked_id(id)?;
    let unclaimed = UnclaimedBytes::of(&inputs, json);
    let inputs = inputs
        .into_iter()
        .map(|written| tensor(app, written, &mut binary, unclaimed))
        .collect::<Result<_, _>>()?;
    if binary.has_remaining() {
        return Err(Problem::invalid_parameter(format!(
            "{} bytes are left behind the tensors; each input says how many are its own in \
             binary_data_size",
            binary.remaining()
        )));
    }
    let parameters = parameters.unwrap_or_default();
    let (outputs, places): (Vec<_>, Vec<_>) = outputs
        .into_iter()
        .map(|Requested { name, parameters }| {
            let parameters = parameters.unwrap_or_default();
            let place = parameters.binary_data;
            ((request::known_name(name), parameters), place)
        })
        .unzip();
    let placements = Placements::new(parameters.binary_data_output, places);
    Ok((UncheckedRequest { id, inputs, outputs, time_limit: parameters.time_limit() }, placements))
}

/// The problem of a body that is not the expected JSON.
fn unreadable(text: &[u8], error: &serde_json::Error) -> Problem {
    if is_object(text) {
        return Problem::bad_request(format!("the JSON cannot be read: {error}"));
    }
    Problem::bad_request(
        "the body is not JSON; to send the bytes of an image, set the header Inference-Header-Content-Length: 0",
    )
}

/// The meaning of bytes after the JSON that no `binary_data_size` covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnclaimedBytes {
    /// The data of the only input.
    InputData,
    /// An error.
    Error,
}

impl UnclaimedBytes {
    fn of(inputs: &[JsonInput<'_>], json: Json) -> Self {
        match json {
            Json::First(_) if inputs.len() == 1 => Self::InputData,
            Json::First(_) | Json::All | Json::None => Self::Error,
        }
    }
}

/// The request for a body that is an image file.
fn one_file(body: Bytes) -> UncheckedRequest {
    let tensor = InferTensor {
        name: NamedInput::Image.name().to_owned(),
        datatype: Datatype::Bytes,
        shape: vec![1],
        data: TensorData::Elements(vec![body]),
    };
    UncheckedRequest { id: None, inputs: vec![tensor], outputs: Vec::new(), time_limit: None }
}

/// Reads an input. Its binary data are removed from the beginning of `binary`.
fn tensor(
    app: &App,
    written: JsonInput<'_>,
    binary: &mut Bytes,
    unclaimed: UnclaimedBytes,
) -> Result<InferTensor, Problem> {
    let JsonInput { name, shape, datatype, parameters, data } = written;
    let name = request::known_name(name);
    let what = format!("input {name:?}");
    let parameters = parameters.unwrap_or_default();
    parameters.refuse_shared_memory(&what)?;
    let datatype = Datatype::read(&excerpt(&datatype), &name)?;
    let data = match (data, parameters.binary_data_size) {
        (Some(json), None) => {
            let held = app.model.pipeline.reserve(elements::most_bytes(json.get(), datatype))?;
            hold(elements::read(json.get(), datatype, &name)?, &Arc::new(held))
        }
        (None, Some(size)) if size <= binary.len() => TensorData::Raw(binary.split_to(size)),
        (None, Some(size)) => {
            return Err(Problem::invalid_parameter(format!(
                "{what} has a binary_data_size of {size}, and {} bytes are left of the body behind \
                 its JSON; Inference-Header-Content-Length says where the JSON ends",
                binary.len()
            )));
        }
        (None, None) if unclaimed == UnclaimedBytes::InputData => {
            TensorData::Raw(std::mem::take(binary))
        }
        (None, None) => {
            let detail = format!("{what} has no data; send data, or binary_data_size and bytes");
            return Err(Problem::invalid_parameter(detail));
        }
        (Some(_), Some(_)) => {
            let detail = format!("{what} has both data and binary_data_size; send one of them");
            return Err(Problem::invalid_parameter(detail));
        }
    };
    Ok(InferTensor { name, datatype, shape, data })
}

/// Charges the data to `held` until they are dropped.
fn hold(data: TensorData, held: &Arc<Reservation>) -> TensorData {
    match data {
        TensorData::Raw(raw) => {
            held.shrink_to(raw.len() as u64);
            TensorData::Raw(with_reservation(raw, held))
        }
        TensorData::Elements(elements) => {
            held.shrink_to(elements.iter().map(|element| element.len() as u64).sum());
            TensorData::Elements(
                elements.into_iter().map(|element| with_reservation(element, held)).collect(),
            )
        }
    }
}
