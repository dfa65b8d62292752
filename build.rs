//! Compiles the messages of ONNX files, and the messages and the service of the Open Inference Protocol, from
//! their `.proto`; no protoc is needed.

use std::error::Error;
use std::path::PathBuf;

#[expect(clippy::disallowed_methods, reason = "cargo runs it again after half a file")]
fn main() -> Result<(), Box<dyn Error>> {
    let onnx = compiler("proto", "onnx.proto")?;
    let without_service = tonic_prost_build::configure();
    without_service.bytes(".").compile_fds(onnx.file_descriptor_set())?;

    let inference = compiler("src/http/protocol/v2/grpc", "inference.proto")?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("inference.bin"), inference.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .bytes(".")
        .codec_path("super::super::codec::CountedCodec")
        .compile_fds(inference.file_descriptor_set())?;
    Ok(())
}

/// The parsed `file` of `folder`, without its comments, which would become documentation in Markdown.
fn compiler(folder: &str, file: &str) -> Result<protox::Compiler, protox::Error> {
    println!("cargo::rerun-if-changed={folder}/{file}");
    let mut compiler = protox::Compiler::new([folder])?;
    compiler.include_source_info(false).open_file(file)?;
    Ok(compiler)
}
