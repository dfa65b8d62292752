//! Health, metrics and descriptions of models.

use std::collections::HashSet;
use std::process::Command;

use crate::support::{TestServer, data, resnetd};

#[tokio::test]
async fn every_answer_has_the_model_digest() {
    let server = TestServer::start();
    let model = server.get("/v1/model").await.json();
    let digest = model["digests"]["graph"].as_str().unwrap();
    assert_eq!(digest.len(), 64);
    assert_ne!(model["digests"]["weights"], model["digests"]["card"]);
    assert_eq!(model["golden_photos"], 3);
    assert!(model.get("golden").is_none(), "golden photos are not part of the answer");
    let answer = server.classify(data("cat.jpg")).await;
    assert_eq!(answer.header("x-model-digest"), digest);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.onnx");
    assert!(resnetd(&["export", "-o", file.to_str().unwrap()]).status.success());
    let sum = Command::new("sha256sum").arg(&file).output().unwrap();
    assert!(String::from_utf8_lossy(&sum.stdout).starts_with(digest), "{sum:?}");
}

#[tokio::test]
async fn probes_answer_and_readiness_has_the_device() {
    let server = TestServer::start();
    assert_eq!(server.get("/livez").await.json()["live"], true);
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["ready"], true);
    assert_eq!(ready.json()["device"], "cpu");
}

#[tokio::test]
async fn the_model_is_described() {
    let server = TestServer::start();
    let model = server.get("/v1/model").await.json();
    assert_eq!(model["name"], "cifar10-resnet56");
    assert_eq!(model["architecture"], "resnet56");
    assert_eq!(model["labels"].as_array().unwrap().len(), 10);
    assert_eq!(model["preprocess"]["input"], serde_json::json!([32, 32]));
    assert_eq!(model["device"], "cpu");
    assert_eq!(model["versions"]["resnetd"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let server = TestServer::start();
    server.classify(data("cifar10-cat.png")).await;
    server.classify("not an image").await;
    server.get("/some/path/of/a/scanner").await;
    let answer = server.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let lines: HashSet<&str> = answer.text.lines().collect();
    for expected in [
        r#"resnetd_http_requests_total{method="POST",route="/classify",status="200"} 1"#,
        r#"resnetd_http_requests_total{method="POST",route="/classify",status="400"} 1"#,
        r#"resnetd_http_requests_total{method="GET",route="none",status="404"} 1"#,
        r#"resnetd_rejected_total{model="cifar10-resnet56",reason="queue-full",version="1"} 0"#,
        r#"resnetd_images_total{model="cifar10-resnet56",version="1"} 1"#,
        r#"resnetd_batch_size_count{model="cifar10-resnet56",version="1"} 1"#,
        r#"resnetd_queue_wait_seconds_count{model="cifar10-resnet56",priority="interactive",version="1"} 1"#,
        r#"resnetd_inference_seconds_count{model="cifar10-resnet56",version="1"} 1"#,
        r#"resnetd_decode_seconds_count{model="cifar10-resnet56",version="1"} 1"#,
        r#"resnetd_preprocess_seconds_count{model="cifar10-resnet56",version="1"} 1"#,
        r#"resnetd_queue_depth{model="cifar10-resnet56",version="1"} 0"#,
        r#"resnetd_images_in_flight{model="cifar10-resnet56",version="1"} 0"#,
        "resnetd_admitted_bytes 0",
        "resnetd_ready 1",
    ] {
        assert!(lines.contains(expected), "no {expected} in\n{}", answer.text);
    }
}
