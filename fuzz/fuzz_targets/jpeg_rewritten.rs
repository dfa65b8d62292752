//! A JPEG has the same pixels whether libjpeg-turbo-rs decodes all of it, or the decoder of coefficients reads it first.
#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if !bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        return;
    }
    let Some([at_once, rewritten]) = common::decode::jpeg_both_ways(bytes, &common::LIMITS) else { return };
    match (at_once, rewritten) {
        (Ok(expected), Ok(found)) => assert!(expected == found, "other pixels"),
        (Err(_), Err(_)) => {}
        (at_once, rewritten) => {
            panic!("answered one way only: {:?}, {:?}", at_once.err(), rewritten.err());
        }
    }
});
