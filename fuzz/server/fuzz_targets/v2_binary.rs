//! Requests of the Open Inference Protocol with binary tensors after the JSON. The first two bytes are the
//! length of the JSON.
#![no_main]

mod infer_path;
mod server;

use std::sync::LazyLock;

use infer_path::INFER;
use libfuzzer_sys::fuzz_target;
use server::Server;

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

fuzz_target!(init: LazyLock::force(&SERVER), |bytes| {
    let Some((length, body)) = bytes.split_first_chunk::<2>() else { return };
    let length = u16::from_le_bytes(*length).to_string();
    let binary = [("inference-header-content-length", length.as_str())];
    SERVER.post(INFER, &binary, body.to_vec());
});
