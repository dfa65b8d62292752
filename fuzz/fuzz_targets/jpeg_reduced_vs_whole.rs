//! A JPEG is answered or refused alike at every size, and shows the same picture.
#![no_main]

mod common;

use common::decode::{self, Reduction, Watch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if !bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
        return;
    }
    let Some(header) = common::no_panic(decode::inspect(bytes, &common::LIMITS)) else { return };
    for part in Reduction::SMALLER {
        let smaller = header.reduced(part);
        if smaller.reduction() == Reduction::None {
            continue;
        }
        let whole = common::no_panic(decode::decode(bytes, &header, Watch::never()));
        let reduced = common::no_panic(decode::decode(bytes, &smaller, Watch::never()));
        assert_eq!(whole.is_some(), reduced.is_some(), "answered at one size only");
        if let (Some(whole), Some(reduced)) = (whole, reduced) {
            assert_eq!(whole.full_size(), reduced.full_size());
        }
    }
});
