//! Header and decoding of JPEGs, whole and at every part of the size.
#![no_main]

mod common;

use common::decode::{self, Reduction, Watch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if !bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        return;
    }
    let Some((header, _)) = common::decoded(bytes) else { return };
    let reduced = header.reduced(Reduction::Quarter);
    if reduced.reduction() != Reduction::None {
        common::no_panic(decode::decode(bytes, &reduced, Watch::never()));
    }
});
