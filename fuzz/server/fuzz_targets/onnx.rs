//! ONNX graphs of this and other programs, with the card in their metadata; and cards alone.
#![no_main]

mod file;

use libfuzzer_sys::fuzz_target;
use resnetd::model::{Model, ModelCard};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(card) = ModelCard::from_toml(text)
    {
        let metadata = card.to_metadata();
        let entries = metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        ModelCard::from_metadata(entries).expect("a valid card can be written to metadata and read back");
    }
    let path = file::with_content(bytes, "onnx");
    let _ = Model::open(&path.to_string_lossy(), None);
});
