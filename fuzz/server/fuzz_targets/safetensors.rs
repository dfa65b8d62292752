//! Weights in a safetensors file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use resnetd::weights::Weights;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(weights) = Weights::from_bytes(bytes.to_vec()) {
        for (_, tensor) in weights.iter() {
            let elements: usize = tensor.shape().iter().product();
            if let Some(values) = tensor.values() {
                assert_eq!(values.len(), elements);
            }
        }
    }
});
