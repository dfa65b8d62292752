//! Multipart forms with the boundary `X`.
#![no_main]

mod server;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use server::Server;

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

fuzz_target!(init: LazyLock::force(&SERVER), |bytes| {
    let form = [("content-type", "multipart/form-data; boundary=X")];
    SERVER.post("/classify", &form, bytes.to_vec());
});
