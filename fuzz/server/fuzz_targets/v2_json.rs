//! Requests of the Open Inference Protocol in JSON, and the same bytes as JSON of other servers' protocols.
#![no_main]

mod infer_path;
mod server;

use std::sync::LazyLock;

use infer_path::INFER;
use libfuzzer_sys::fuzz_target;
use server::Server;

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

fuzz_target!(init: LazyLock::force(&SERVER), |bytes| {
    let json = [("content-type", "application/json")];
    for path in [INFER, "/", "/v1/models/cifar10-resnet56:predict", "/invocations", "/classify"] {
        SERVER.post(path, &json, bytes.to_vec());
    }
});
