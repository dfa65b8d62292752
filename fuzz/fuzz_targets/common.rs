//! What every target does with its input.

#[allow(dead_code, unused_imports, unreachable_pub, reason = "a target uses a part of it")]
#[path = "../../src/pipeline/decode/mod.rs"]
pub mod decode;

use decode::{DecodeError, Formats, Header, Image, Limits, Watch};

/// Four megapixels, so that the longest decode that is allowed takes well below the time limit.
pub const LIMITS: Limits =
    Limits { max_bytes: 1 << 20, max_pixels: 4_000_000, formats: Formats::ALL };

/// Header and pixels, as the server reads them. Panics where a decoder's panic was caught, which the server
/// would answer as a damaged image.
#[allow(dead_code, reason = "a target uses a part of it")]
pub fn decoded(bytes: &[u8]) -> Option<(Header, Image)> {
    let header = no_panic(decode::inspect(bytes, &LIMITS))?;
    assert!(header.decoded_bytes() <= LIMITS.largest_cost());
    let image = no_panic(decode::decode(bytes, &header, Watch::never()))?;
    let pixels = u64::from(image.width()) * u64::from(image.height());
    assert_eq!(image.rgb().len() as u64, 3 * pixels);
    Some((header, image))
}

pub fn no_panic<T>(answer: Result<T, DecodeError>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(error) => {
            assert!(!error.is_panic(), "{error}");
            None
        }
    }
}
