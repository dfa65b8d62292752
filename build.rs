//! Makes the messages and the service of the Open Inference Protocol from their `.proto`; no protoc
//! is needed.

use std::error::Error;
use std::path::PathBuf;

const FOLDER: &str = "src/http/protocol/v2/grpc";
const PROTO: &str = "inference.proto";

#[expect(clippy::disallowed_methods, reason = "cargo runs it again after half a file")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={FOLDER}/{PROTO}");
    let mut compiler = protox::Compiler::new([FOLDER])?;
    compiler.include_source_info(false).open_file(PROTO)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("inference.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .bytes(".")
        .codec_path("super::super::codec::Counted")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
