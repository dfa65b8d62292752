//! Reads a request from a message.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tonic::metadata::MetadataMap;

use super::messages::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use super::messages::{InferTensorContents, ModelInferRequest};
use super::parameters;
use crate::http::App;
use crate::http::problem::{Problem, excerpt};
use crate::http::protocol::v2::request::{self, UncheckedRequest};
use crate::http::protocol::v2::tensor::{Datatype, InferTensor, TensorData};
use crate::http::reserved_bytes::with_reservation;

/// Bytes that [`fn@request`] converts one by one: those of typed contents. Raw contents are only moved.
pub(super) fn bytes_to_convert(message: &ModelInferRequest) -> usize {
    let typed = message.inputs.iter().filter_map(|input| input.contents.as_ref());
    typed.map(prost::Message::encoded_len).sum()
}

/// The request in `message`.
pub(super) fn request(app: &App, message: ModelInferRequest) -> Result<UncheckedRequest, Problem> {
    let ModelInferRequest { id, parameters, inputs, outputs, raw_input_contents, .. } = message;
    let raw_count = raw_input_contents.len();
    if raw_count != 0 && raw_count != inputs.len() {
        return Err(Problem::invalid_parameter(format!(
            "raw_input_contents has {raw_count} entries for {} inputs; it has one for each, or \
             none",
            inputs.len()
        )));
    }
    let mut raw = raw_input_contents.into_iter();
    let inputs =
        inputs.into_iter().map(|input| tensor(app, input, raw.next())).collect::<Result<_, _>>()?;
    let outputs = outputs
        .into_iter()
        .map(|InferRequestedOutputTensor { name, parameters }| {
            parameters::read(&parameters).map(|parameters| (request::known_name(name), parameters))
        })
        .collect::<Result<_, _>>()?;
    let time_limit = parameters::read(&parameters)?.time_limit();
    let id = request::checked_id(Some(id).filter(|id| !id.is_empty()))?;
    Ok(UncheckedRequest { id, inputs, outputs, time_limit })
}

/// How long the request may take: the server's limit, or `grpc-timeout` if that is shorter.
pub(super) fn time_limit(metadata: &MetadataMap, longest: Duration) -> Result<Duration, Problem> {
    let Some(value) = metadata.get("grpc-timeout") else { return Ok(longest) };
    value.to_str().ok().and_then(timeout).map(|own| own.min(longest)).ok_or_else(|| {
        Problem::invalid_parameter(format!(
            "grpc-timeout is {value:?}; it is up to eight digits and a unit: H, M, S, m, u or n"
        ))
    })
}

/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, `Timeout`.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

fn tensor(app: &App, input: InferInputTensor, raw: Option<Bytes>) -> Result<InferTensor, Problem> {
    let InferInputTensor { name, datatype, shape, parameters, contents } = input;
    let name = request::known_name(name);
    let what = format!("input {name:?}");
    parameters::read(&parameters)?.refuse_shared_memory(&what)?;
    let datatype = Datatype::read(&excerpt(&datatype), &name)?;
    let data = match (raw, contents) {
        (Some(raw), None) => TensorData::Raw(raw),
        (None, Some(contents)) => typed(app, contents, datatype, &what)?,
        (None, None) => {
            let detail = format!("{what} has no data; send contents or raw_input_contents");
            return Err(Problem::invalid_parameter(detail));
        }
        (Some(_), Some(_)) => {
            let detail = format!("{what} has both contents and raw_input_contents; send one");
            return Err(Problem::invalid_parameter(detail));
        }
    };
    Ok(InferTensor { name, datatype, shape, data })
}

/// The elements of `contents` in the raw format, with their memory charged.
fn typed(
    app: &App,
    contents: InferTensorContents,
    datatype: Datatype,
    what: &str,
) -> Result<TensorData, Problem> {
    let InferTensorContents { uint_contents, fp32_contents, bytes_contents } = contents;
    let raw: Vec<u8> = match datatype {
        Datatype::Bytes => return Ok(TensorData::Elements(bytes_contents)),
        Datatype::Uint8 => {
            let bytes = uint_contents.into_iter().map(u8::try_from).collect::<Result<_, _>>();
            bytes.map_err(|_| {
                Problem::invalid_parameter(format!(
                    "{what} is UINT8 and has a value above 255 in its uint_contents"
                ))
            })?
        }
        Datatype::Fp32 => fp32_contents.into_iter().flat_map(f32::to_le_bytes).collect(),
    };
    let held = app.model.pipeline.reserve(raw.len())?;
    Ok(TensorData::Raw(with_reservation(raw.into(), &Arc::new(held))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_consists_of_digits_and_a_unit() {
        for (text, expected) in [
            ("1S", Some(Duration::from_secs(1))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("7u", Some(Duration::from_micros(7))),
            ("7n", Some(Duration::from_nanos(7))),
            ("2M", Some(Duration::from_secs(120))),
            ("123456789S", None),
            ("S", None),
            ("", None),
            ("+1S", None),
            ("1é", None),
            ("1s", None),
        ] {
            assert_eq!(timeout(text), expected, "{text}");
        }
    }
}
