//! Header and decoding of any format: the content tells which.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    common::decoded(bytes);
});
