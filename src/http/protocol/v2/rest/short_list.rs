//! JSON lists of limited length. A list takes more memory than its text, so without a limit a small request
//! could take much memory.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Maximum length of a list: more than any request has inputs, outputs or dimensions.
const MAX_LENGTH: usize = 16;

/// Reads a list of at most 16 elements; `null` is an empty one.
pub(super) fn short_list<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct ShortListVisitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ShortListVisitor<T> {
        type Value = Vec<T>;

        fn expecting(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(words, "a list of at most {MAX_LENGTH} elements")
        }

        /// `null` is like a missing list: some clients write unset fields as `null`.
        fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = list.next_element()? {
                if elements.len() == MAX_LENGTH {
                    return Err(A::Error::invalid_length(MAX_LENGTH + 1, &self));
                }
                elements.push(element);
            }
            Ok(elements)
        }
    }
    from.deserialize_any(ShortListVisitor(PhantomData))
}
