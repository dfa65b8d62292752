//! State dicts of PyTorch: the input is the pickle of a `.pth` archive with one storage.
#![no_main]

mod file;

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use resnetd::weights::Weights;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fuzz_target!(|pickle: &[u8]| {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in
        [("archive/data.pkl", pickle), ("archive/version", b"3\n"), ("archive/data/0", &[0; 64])]
    {
        archive.start_file(name, stored).expect("memory");
        archive.write_all(content).expect("memory");
    }
    let archive = archive.finish().expect("memory").into_inner();
    let _ = Weights::open(&file::with_content(&archive, "pth"));
});
