//! Reads the elements of a tensor from a JSON array, which is nested like the shape or flat, in row-major
//! order.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use crate::http::problem::Problem;
use crate::http::protocol::v2::tensor::MAX_BATCH;
use crate::http::protocol::v2::tensor::{Datatype, TensorData};

/// The elements in `json`, the data of an input called `input`.
pub(super) fn read(json: &str, datatype: Datatype, input: &str) -> Result<TensorData, Problem> {
    let mut found = ParsedElements { raw: Vec::new(), elements: Vec::new() };
    let mut reader = serde_json::Deserializer::from_str(json);
    Elements { found: &mut found, datatype }.deserialize(&mut reader).map_err(|error| {
        Problem::invalid_parameter(format!("the data of input {input:?} cannot be read: {error}"))
    })?;
    Ok(match datatype {
        Datatype::Uint8 | Datatype::Fp32 => TensorData::Raw(found.raw.into()),
        Datatype::Bytes => TensorData::Elements(found.elements),
    })
}

/// Upper bound for the size of the elements in `json`, in bytes.
pub(super) fn most_bytes(json: &str, datatype: Datatype) -> usize {
    match datatype {
        // A number takes at least a digit and a comma.
        Datatype::Uint8 => json.len() / 2,
        Datatype::Fp32 => json.len() / 2 * size_of::<f32>(),
        Datatype::Bytes => json.len(),
    }
}

#[derive(Debug)]
struct ParsedElements {
    raw: Vec<u8>,
    elements: Vec<Bytes>,
}

/// Reads a value, which may be a list, and appends its elements.
struct Elements<'a> {
    found: &'a mut ParsedElements,
    datatype: Datatype,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        words.write_str(match self.datatype {
            Datatype::Uint8 => "a list of whole numbers from 0 to 255",
            Datatype::Fp32 => "a list of numbers",
            Datatype::Bytes => {
                "a list of strings with each file in base64 (JSON has text only; binary tensors \
                 take the bytes)"
            }
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let datatype = self.datatype;
        while list.next_element_seed(Elements { found: &mut *self.found, datatype })?.is_some() {}
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "far more than any element may be")]
    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "far more than any element may be")]
    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked, or FP32")]
    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        match self.datatype {
            Datatype::Uint8 if number.fract() == 0.0 && (0.0..=255.0).contains(&number) => {
                self.found.raw.push(number as u8);
            }
            Datatype::Fp32 => self.found.raw.extend((number as f32).to_le_bytes()),
            Datatype::Uint8 | Datatype::Bytes => {
                return Err(E::invalid_value(serde::de::Unexpected::Float(number), &self));
            }
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.datatype != Datatype::Bytes {
            return Err(E::invalid_type(serde::de::Unexpected::Str("…"), &self));
        }
        if self.found.elements.len() == MAX_BATCH {
            return Err(E::custom(format_args!(
                "more than {MAX_BATCH} elements; send fewer at once"
            )));
        }
        let element = BASE64_STANDARD.decode(text).map_err(|error| {
            E::custom(format_args!(
                "element {} is not base64 ({error}); a string holds a file in base64, and binary \
                 tensors take its bytes",
                self.found.elements.len()
            ))
        })?;
        self.found.elements.push(element.into());
        Ok(())
    }
}
