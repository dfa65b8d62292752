//! Counts the parts of a message before it is parsed.
//!
//! An empty input takes two bytes on the wire and hundreds in memory, and an empty BYTES element takes 32 in
//! memory. Without a limit, a small message could take gigabytes.

use bytes::Buf;
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::http::problem::Problem;

/// Maximum number of parts: more than inputs, outputs, parameters and elements of the largest request, which
/// has 256 images.
const MAX_PARTS: usize = 1024;

/// Depth and number of the fields whose messages contain lists: inputs and outputs of a `ModelInferRequest`,
/// and the contents of an input.
const DESCENDED: [(usize, u32); 3] = [(0, 5), (0, 6), (1, 5)];

/// Checks that `message` does not have too many parts. Invalid messages are left to the parser.
pub(super) fn check(message: &[u8]) -> Result<(), Problem> {
    let mut parts = 0;
    let _ = count(message, 0, &mut parts);
    if parts > MAX_PARTS {
        return Err(Problem::invalid_parameter(format!(
            "the message has more than {MAX_PARTS} inputs, outputs, parameters and elements; send fewer \
             images at once"
        )));
    }
    Ok(())
}

/// Adds the number of parts of `message` to `parts`; stops early if there are too many.
fn count(mut message: &[u8], depth: usize, parts: &mut usize) -> Result<(), DecodeError> {
    while message.has_remaining() && *parts <= MAX_PARTS {
        let (tag, wire_type) = decode_key(&mut message)?;
        if wire_type != WireType::LengthDelimited {
            skip_field(wire_type, tag, &mut message, DecodeContext::default())?;
            continue;
        }
        *parts += 1;
        let length = usize::try_from(decode_varint(&mut message)?).unwrap_or(usize::MAX);
        let Some((inside, rest)) = message.split_at_checked(length) else { return Ok(()) };
        if DESCENDED.contains(&(depth, tag)) {
            count(inside, depth + 1, parts)?;
        }
        message = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::messages::model_infer_request::InferInputTensor;
    use super::super::messages::{InferTensorContents, ModelInferRequest};
    use super::*;

    fn with(inputs: Vec<InferInputTensor>, raw: usize) -> Vec<u8> {
        let raw_input_contents = vec![bytes::Bytes::new(); raw];
        ModelInferRequest { inputs, raw_input_contents, ..Default::default() }.encode_to_vec()
    }

    fn input(elements: usize) -> InferInputTensor {
        let contents = InferTensorContents {
            bytes_contents: vec![bytes::Bytes::from_static(b"file"); elements],
            ..Default::default()
        };
        InferInputTensor { contents: Some(contents), ..Default::default() }
    }

    #[test]
    fn the_largest_request_is_accepted_and_lists_of_empty_elements_are_rejected() {
        for (message, passes) in [
            (with(vec![input(256)], 0), true),
            (with(vec![input(0)], 1), true),
            (with(vec![input(1025)], 0), false),
            (with(vec![InferInputTensor::default(); 1025], 0), false),
            (with(vec![], 1025), false),
            (b"\x2a\xff".to_vec(), true),
            (vec![0xff; 4096], true),
            (vec![], true),
        ] {
            assert_eq!(check(&message).is_ok(), passes, "{} bytes", message.len());
        }
    }
}
