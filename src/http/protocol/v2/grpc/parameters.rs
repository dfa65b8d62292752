//! Named values from their messages.

use std::collections::HashMap;

use serde::de::IgnoredAny;

use super::messages::InferParameter;
use super::messages::infer_parameter::ParameterChoice;
use crate::http::problem::Problem;
use crate::http::protocol::v2::parameters::V2Parameters;

/// Reads the known parameters of `written`. Parameters for binary data are ignored, because data in gRPC are
/// always binary.
pub(super) fn read(written: &HashMap<String, InferParameter>) -> Result<V2Parameters, Problem> {
    Ok(V2Parameters {
        timeout: whole(written, "timeout")?,
        classification: whole(written, "classification")?,
        shared_memory_region: written.get("shared_memory_region").map(|_| IgnoredAny),
        ..V2Parameters::default()
    })
}

fn whole(written: &HashMap<String, InferParameter>, name: &str) -> Result<Option<u64>, Problem> {
    let Some(parameter) = written.get(name) else { return Ok(None) };
    let number = match parameter.parameter_choice {
        Some(ParameterChoice::Int64Param(number)) => u64::try_from(number).ok(),
        Some(ParameterChoice::Uint64Param(number)) => Some(number),
        Some(
            ParameterChoice::BoolParam(_)
            | ParameterChoice::StringParam(_)
            | ParameterChoice::DoubleParam(_),
        )
        | None => None,
    };
    number.map(Some).ok_or_else(|| {
        Problem::invalid_parameter(format!(
            "the parameter {name} is not a whole number, at least 0; send it as int64_param"
        ))
    })
}
