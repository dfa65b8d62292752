//! `ModelInferRequest` messages over gRPC.
#![no_main]

mod server;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use server::Server;

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

fuzz_target!(init: LazyLock::force(&SERVER), |bytes| {
    let Ok(length) = u32::try_from(bytes.len()) else { return };
    let frame = [&[0], &length.to_be_bytes()[..], bytes].concat();
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    SERVER.post("/inference.GRPCInferenceService/ModelInfer", &grpc, frame);
});
