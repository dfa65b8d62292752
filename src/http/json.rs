//! JSON bodies, parsed without copying, so that they use no more memory than the body.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde_json::error::Category;

use super::problem::Problem;
use super::upload::MAX_IMAGES;

/// Whether a body is a JSON object. No image format begins with `{`.
pub(super) fn is_object(body: &[u8]) -> bool {
    without_mark(body).trim_ascii_start().first() == Some(&b'{')
}

/// Removes the byte order mark that some programs write before text.
pub(super) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// Parses a body. With a body of images this may take long, so call it in [`Shared::parse`](super::Shared).
pub(super) fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Problem> {
    serde_json::from_slice(without_mark(body)).map_err(|error| match error.classify() {
        Category::Data => {
            Problem::invalid_parameter(format!("the JSON is not valid for this route: {error}"))
        }
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::bad_request(format!("the body is not valid JSON: {error}"))
        }
    })
}

/// Text that borrows from the body if it has no escapes.
#[derive(Debug)]
pub(super) struct Text<'de>(pub(super) Cow<'de, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an image as base64 or a URL")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// A list with the same limit as a form. Longer lists are rejected before they are in memory.
#[derive(Debug)]
pub(super) struct ImageList<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ImageList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ImageListVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ImageListVisitor<T> {
            type Value = ImageList<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of images")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Self::Value, A::Error> {
                image_list(sequence).map(ImageList)
            }
        }
        deserializer.deserialize_seq(ImageListVisitor(PhantomData))
    }
}

/// Reads a list of 1 to [`MAX_IMAGES`] elements.
pub(super) fn image_list<'de, T, A>(mut sequence: A) -> Result<Vec<T>, A::Error>
where
    T: Deserialize<'de>,
    A: SeqAccess<'de>,
{
    let mut elements = Vec::new();
    while let Some(element) = sequence.next_element()? {
        if elements.len() == MAX_IMAGES {
            return Err(A::Error::custom(format_args!(
                "there are more than {MAX_IMAGES} images; send fewer at once"
            )));
        }
        elements.push(element);
    }
    if elements.is_empty() {
        return Err(A::Error::custom("the list is empty; send at least one image"));
    }
    Ok(elements)
}
