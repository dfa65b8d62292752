//! Parameters in a query or in the text fields of a form. Each route has a struct of its parameters, from which
//! they are read and documented.

use std::fmt;
use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;

use axum::extract::rejection::QueryRejection;
use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::problem::Problem;

/// A query as pairs, because a name may be repeated; or axum's error.
pub(super) type Typed = Result<axum::extract::Query<Vec<(String, String)>>, QueryRejection>;

/// The pairs, not parsed yet: fields of a form may follow.
pub(super) fn pairs(typed: Typed) -> Result<Vec<(String, String)>, Problem> {
    typed.map(|axum::extract::Query(pairs)| pairs).map_err(|error| {
        Problem::invalid_parameter(format!("the query cannot be read: {}", error.body_text()))
    })
}

/// Reads a struct of parameters. A field that is an `Option` is a parameter that must not be repeated, and a `Vec`
/// has all values of one that may be.
pub(super) fn read<'a, T: Deserialize<'a>>(pairs: &'a [(String, String)]) -> Result<T, Problem> {
    T::deserialize(Pairs(pairs)).map_err(|error| Problem::invalid_parameter(error.to_string()))
}

/// The names of a struct's parameters.
pub(super) fn names<'a, T: Deserialize<'a>>() -> &'static [&'static str] {
    // The error for an unknown parameter has the list of known ones.
    match T::deserialize(Pairs(NAMELESS)) {
        Err(QueryError::Unknown { known, .. }) => known,
        Ok(_)
        | Err(QueryError::Repeated { .. } | QueryError::Wrong { .. } | QueryError::Value { .. }) => {
            &[]
        }
    }
}

const NAMELESS: &[(String, String)] = &[(String::new(), String::new())];

/// The parameters of a route that has none.
#[derive(Debug, Deserialize)]
pub(super) struct NoParameters {}

/// A whole number, at least 1. Numbers that are too large for the type become its largest value.
pub(super) fn count<'de, D: Deserializer<'de>>(value: D) -> Result<Option<usize>, D::Error> {
    let count = parsed(value, "a whole number, at least 1", |SaturatingCount(count)| *count > 0)?;
    Ok(count.map(|SaturatingCount(count)| usize::try_from(count).unwrap_or(usize::MAX)))
}

/// A whole number. Numbers that are too large for the type become its largest value, because no limit that a client asks
/// for is that large.
pub(super) struct SaturatingCount(pub(super) u64);

impl FromStr for SaturatingCount {
    type Err = ParseIntError;

    fn from_str(typed: &str) -> Result<Self, ParseIntError> {
        match typed.parse::<u64>() {
            Err(error) if *error.kind() == IntErrorKind::PosOverflow => Ok(Self(u64::MAX)),
            parsed => parsed.map(Self),
        }
    }
}

/// A value that `is_allowed` accepts; the error says that the parameter takes `takes`.
pub(super) fn parsed<'de, D: Deserializer<'de>, T: FromStr>(
    value: D,
    takes: &str,
    is_allowed: impl Fn(&T) -> bool,
) -> Result<Option<T>, D::Error> {
    let Some(typed) = Option::<&str>::deserialize(value)? else { return Ok(None) };
    let value = typed.parse().ok().filter(is_allowed);
    value.map(Some).ok_or_else(|| de::Error::custom(takes))
}

/// Parameters that cannot be read.
#[derive(Debug, thiserror::Error)]
enum QueryError {
    #[error(
        "unknown parameter {name:?}; known parameters: {}",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    Unknown { name: String, known: &'static [&'static str] },
    #[error("{name} is given more than once; send it once")]
    Repeated { name: &'static str },
    #[error("{name} is {typed:?}; it takes {takes}")]
    Wrong { name: &'static str, typed: String, takes: String },
    /// Becomes [`QueryError::Wrong`] where the parameter's name is known.
    #[error("it takes {takes}")]
    Value { takes: String },
}

impl de::Error for QueryError {
    fn custom<T: fmt::Display>(takes: T) -> Self {
        Self::Value { takes: takes.to_string() }
    }

    fn unknown_variant(_: &str, variants: &'static [&'static str]) -> Self {
        let takes = match variants {
            [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            _ => variants.join(""),
        };
        Self::Value { takes }
    }
}

/// Pairs from which a struct is read.
struct Pairs<'de>(&'de [(String, String)]);

impl<'de> Deserializer<'de> for Pairs<'de> {
    type Error = QueryError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(QueryError::Unknown { name: name.clone(), known }),
            None => visitor.visit_map(ParameterMap { pairs: self.0, left: known, name: "" }),
        }
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, QueryError> {
        Err(de::Error::custom("parameters by their names"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The parameters of `left` that are in `pairs`, each with all of its values.
struct ParameterMap<'de> {
    pairs: &'de [(String, String)],
    left: &'static [&'static str],
    /// The parameter whose values are next.
    name: &'static str,
}

impl<'de> MapAccess<'de> for ParameterMap<'de> {
    type Error = QueryError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, QueryError> {
        while let [name, left @ ..] = self.left {
            (self.name, self.left) = (name, left);
            if self.pairs.iter().any(|(sent, _)| sent == name) {
                return seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, QueryError> {
        let name = self.name;
        let sent = self.pairs.iter().filter(|(sent, _)| sent == name);
        let values: Vec<&str> = sent.map(|(_, typed)| typed.as_str()).collect();
        let typed = values.first().copied().unwrap_or_default();
        seed.deserialize(ParameterValues { name, values }).map_err(|error| match error {
            QueryError::Value { takes } => {
                QueryError::Wrong { name, typed: typed.to_owned(), takes }
            }
            complete @ (QueryError::Unknown { .. }
            | QueryError::Repeated { .. }
            | QueryError::Wrong { .. }) => complete,
        })
    }
}

/// All values of one parameter, at least one.
struct ParameterValues<'de> {
    name: &'static str,
    values: Vec<&'de str>,
}

impl<'de> Deserializer<'de> for ParameterValues<'de> {
    type Error = QueryError;

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        match self.values[..] {
            [value] => visitor.visit_some(BorrowedStrDeserializer::new(value)),
            _ => Err(QueryError::Repeated { name: self.name }),
        }
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_seq(SeqDeserializer::new(self.values.into_iter()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
