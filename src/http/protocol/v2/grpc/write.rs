//! Writes an answer as a message.

use super::messages::model_infer_response::InferOutputTensor;
use super::messages::{InferTensorContents, ModelInferRequest, ModelInferResponse};
use crate::http::protocol::v2::run::{InferAnswer, OutputTensor, OutputValues};
use crate::registry::Served;

/// The encoding of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TensorEncoding {
    /// `raw_output_contents`.
    Raw,
    /// `contents` of each output.
    Typed,
}

impl TensorEncoding {
    /// The encoding of the request: clients that send `contents` get `contents`.
    pub(super) fn of(message: &ModelInferRequest) -> Self {
        let typed = message.inputs.iter().any(|input| input.contents.is_some());
        if typed { Self::Typed } else { Self::Raw }
    }
}

/// The answer of `model`.
pub(super) fn response(
    model: &Served,
    answer: InferAnswer,
    form: TensorEncoding,
) -> ModelInferResponse {
    let InferAnswer { id, outputs, .. } = answer;
    let mut response = ModelInferResponse {
        model_name: model.name().to_owned(),
        model_version: model.version.to_string(),
        id: id.unwrap_or_default(),
        ..ModelInferResponse::default()
    };
    for OutputTensor { name, shape, values } in outputs {
        let mut tensor = InferOutputTensor {
            name: name.to_owned(),
            datatype: values.datatype().name().to_owned(),
            shape: shape.map(|size| i64::try_from(size).unwrap_or(i64::MAX)).to_vec(),
            ..InferOutputTensor::default()
        };
        match form {
            TensorEncoding::Raw => response.raw_output_contents.push(values.to_raw().into()),
            TensorEncoding::Typed => tensor.contents = Some(contents(values)),
        }
        response.outputs.push(tensor);
    }
    response
}

fn contents(values: OutputValues) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match values {
        OutputValues::Floats(floats) => contents.fp32_contents = floats,
        OutputValues::Texts(texts) => {
            contents.bytes_contents = texts.into_iter().map(Into::into).collect();
        }
    }
    contents
}
