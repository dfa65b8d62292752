//! The parameters `top_k` and `function_to_apply`, in a query or in JSON.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::http::query;
use crate::pipeline::topk::{Function, Prediction, TOP_K};

/// The parameters that Hugging Face's task has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// How many classes.
    #[serde(default, deserialize_with = "count")]
    #[schema(minimum = 1, maximum = 4_000_000_000_u32)]
    top_k: Option<usize>,
    /// As what; without it as probabilities: the softmax, or the sigmoid in a multi-label network.
    #[serde(default)]
    function_to_apply: Option<Function>,
}

/// The same parameters in a query.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct QueryParameters {
    #[serde(deserialize_with = "query::count")]
    top_k: Option<usize>,
    function_to_apply: Option<Function>,
}

/// One class of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Scored {
    pub(super) label: String,
    pub(super) score: f32,
}

impl From<Prediction> for Scored {
    fn from(prediction: Prediction) -> Self {
        Self { label: prediction.label, score: prediction.probability }
    }
}

impl Parameters {
    /// Those of a query.
    pub(super) fn of(pairs: &[(String, String)]) -> Result<Self, Problem> {
        let QueryParameters { top_k, function_to_apply } = query::read(pairs)?;
        Ok(Self { top_k, function_to_apply })
    }

    /// These, and where they say nothing, those of `others`.
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            top_k: self.top_k.or(others.top_k),
            function_to_apply: self.function_to_apply.or(others.function_to_apply),
        }
    }

    pub(super) fn top_k(self) -> usize {
        self.top_k.unwrap_or(TOP_K)
    }

    /// `None` for the one of the network's task.
    pub(super) fn function(self) -> Option<Function> {
        self.function_to_apply
    }
}

/// A whole number, at least 1; also as `3.0`, for the clouds' libraries know no other numbers.
/// Parameters by their names: serde would also take a list of them in their order.
pub(super) fn by_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Parameters>, D::Error> {
    struct ParametersVisitor;
    impl<'de> Visitor<'de> for ParametersVisitor {
        type Value = Option<Parameters>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("parameters by their names")
        }
        fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
            Err(E::invalid_type(de::Unexpected::Other("text"), &self))
        }
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            // The first unknown name ends it, so that a long object is never held.
            Parameters::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_any(ParametersVisitor)
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    // No model has so many classes that this is not exact.
    let whole = number.as_f64().filter(|n| n.fract() == 0.0 && (1.0..=4e9).contains(n));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 1 to 4e9"
    )]
    match whole {
        Some(whole) => Ok(Some(whole as usize)),
        None => Err(de::Error::custom(format_args!(
            "top_k is {number}; it takes a whole number from 1 to 4000000000"
        ))),
    }
}
