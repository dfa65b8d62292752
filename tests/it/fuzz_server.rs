//! The server of the fuzz targets, which `make test` does not build: it must compile, and answer what the targets send.

use tokio::task::spawn_blocking;

#[path = "../../fuzz/server/fuzz_targets/server.rs"]
#[expect(unreachable_pub, clippy::expect_used, reason = "it is a program of its own")]
mod server;

#[path = "../../fuzz/server/fuzz_targets/infer_path.rs"]
#[expect(unreachable_pub, reason = "it is part of other programs")]
mod infer_path;

use infer_path::INFER;
use server::Server;

#[tokio::test]
async fn the_server_of_the_fuzz_targets_answers() {
    let requests = || {
        let server = Server::start();
        let json = [("content-type", "application/json")];
        server.post(INFER, &json, b"{\"inputs\":[]}".to_vec());
        server.post("/classify", &[], crate::support::data("cifar10-cat.png"));
        let form = [("content-type", "multipart/form-data; boundary=X")];
        server.post("/classify", &form, b"--X--".to_vec());
        let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
        server.post("/inference.GRPCInferenceService/ModelInfer", &grpc, vec![0; 5]);
    };
    spawn_blocking(requests).await.unwrap();
}
