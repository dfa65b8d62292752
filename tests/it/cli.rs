//! The commands, run as child processes.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{resnetd, stderr_of, stdout_of};

#[test]
fn eval_measures_a_parquet_file_and_a_folder_alike() {
    let parquet = "tests/data/cifar10-sample.parquet";
    let measure = |data: &str| -> Value {
        let output = resnetd(&["eval", "--json", "--precision", "fp32", "--data", data]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_str(&stdout_of(&output)).unwrap()
    };
    let from_parquet = measure(parquet);
    let golden: Value =
        serde_json::from_str(include_str!("../golden/cifar10-resnet56.json")).unwrap();
    assert_eq!(from_parquet["images"], 100);
    assert_eq!(from_parquet["failed"], 0);
    // The sample is JPEG, and decoders differ by one level for some pixels, so one image may be classified
    // differently.
    let correct = |measured: &Value| measured["correct"].as_i64().unwrap();
    assert!((correct(&from_parquet) - correct(&golden)).abs() <= 1, "{from_parquet}");

    let folder = tempfile::tempdir().unwrap();
    let labels = crate::support::default_model().card.labels.clone();
    let dataset = resnetd::eval::Dataset::open(parquet.as_ref(), &labels).unwrap();
    for (number, example) in dataset.examples(&labels).unwrap().enumerate() {
        let example = example.unwrap();
        let class = folder.path().join(&labels[example.truth]);
        std::fs::create_dir_all(&class).unwrap();
        let copy = std::fs::File::create(class.join(format!("{number}.png"))).unwrap();
        std::io::Write::write_all(&mut { copy }, &example.bytes).unwrap();
    }
    let from_folder = measure(folder.path().to_str().unwrap());
    for key in ["images", "top1", "top5", "confusion"] {
        assert_eq!(from_folder[key], from_parquet[key], "{key}");
    }
}

#[test]
fn plan_predicts_how_many_replicas_a_load_needs() {
    let demand = ["plan", "--json", "--load", "400", "--latency", "100ms", "--sessions", "2"];
    let plan = |measured: [&str; 2]| resnetd(&[&demand[..], &measured].concat());
    let by_throughput: Value =
        serde_json::from_str(&stdout_of(&plan(["--throughput", "100"]))).unwrap();
    // 400 images/s use four replicas completely. With five, the 99th percentile would be 121 ms.
    assert_eq!(by_throughput["replicas"], 6, "{by_throughput}");
    let predicted = &by_throughput["predicted"][0];
    assert!((predicted["utilization"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9, "{predicted}");
    assert!((predicted["target_ms"].as_f64().unwrap() - 74.9).abs() < 0.1, "{predicted}");
    let by_time: Value =
        serde_json::from_str(&stdout_of(&plan(["--service-time", "20ms"]))).unwrap();
    assert_eq!(by_time, by_throughput);
    let running = [&demand[..], &["--throughput", "100", "--min-replicas", "8"]].concat();
    let running: Value = serde_json::from_str(&stdout_of(&resnetd(&running))).unwrap();
    assert_eq!(
        (&running["replicas"], &running["predicted"][1]["replicas"]),
        (&8.into(), &9.into())
    );
    let too_slow = stderr_of(&plan(["--service-time", "200ms"]));
    assert!(too_slow.contains("one image takes 200.0 ms in a session"), "{too_slow}");
}

#[test]
fn an_exported_file_is_self_contained() {
    let folder = tempfile::tempdir().unwrap();
    let onnx = folder.path().join("m.onnx");
    let output = resnetd(&["export", "-o", onnx.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let classify = |model: &str| {
        let asked = ["--precision", "fp32", "--model", model];
        stdout_of(&resnetd(&[&["classify", "--json", "tests/data/cat.jpg"], &asked[..]].concat()))
    };
    assert_eq!(classify(onnx.to_str().unwrap()), classify("cifar10-resnet56"));
    let left: Vec<PathBuf> =
        folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [onnx], "no half-written file is left behind");
}

#[test]
fn weights_of_another_architecture_are_explained() {
    let output = resnetd(&[
        "export",
        "--arch",
        "resnet32",
        "-o",
        "never.onnx",
        "--weights",
        "models/cifar10-resnet20/model.safetensors",
    ]);
    let words = stderr_of(&output);
    assert!(words.contains("do not fit resnet32; they fit resnet20"), "{words}");
    assert!(!PathBuf::from("never.onnx").exists());
}

#[test]
fn all_invalid_options_are_listed() {
    let words = stderr_of(&resnetd(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--sessions",
        "0",
        "--request-timeout",
        "0s",
        "--memory-limit",
        "1MiB",
    ]));
    for option in ["--sessions is 0", "--request-timeout is 0", "--memory-limit 1 MiB"] {
        assert!(words.contains(option), "{words}");
    }
}

#[test]
fn an_unavailable_device_is_an_error_with_the_reason() {
    let output = resnetd(&["classify", "--device", "cuda:0", "tests/data/cat.jpg"]);
    let words = stderr_of(&output);
    assert!(words.contains("cuda:0 is not available"), "{words}");
    assert!(words.contains("hint:"), "{words}");
    let words = stderr_of(&resnetd(&["classify", "--device", "gpu", "tests/data/cat.jpg"]));
    assert!(words.contains("use auto, cpu, cuda or cuda:N"), "{words}");
}

#[test]
fn a_missing_library_is_reported_with_a_hint() {
    let words =
        stderr_of(&resnetd(&["classify", "--onnxruntime", "/nowhere", "tests/data/cat.jpg"]));
    assert!(words.contains("/nowhere") && words.contains("scripts/fetch-onnxruntime"), "{words}");
    let words =
        stderr_of(&resnetd(&["classify", "--onnxruntime", "Cargo.toml", "tests/data/cat.jpg"]));
    assert!(words.contains("cannot be used") && words.contains("hint:"), "{words}");
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = address.rsplit(':').next().unwrap();
    for listen in [&address, port, &format!("localhost:{port}")] {
        let words = stderr_of(&resnetd(&["serve", "--listen", listen]));
        assert!(words.contains(&format!("cannot listen on {address}")), "{words}");
    }
    let words = stderr_of(&resnetd(&["serve", "--listen", "127.0.0.1"]));
    assert!(words.contains("use ADDRESS:PORT, NAME:PORT, :PORT"), "{words}");
}

#[test]
fn the_help_texts() {
    for (name, arguments) in [
        ("help", vec!["--help"]),
        ("help_serve", vec!["serve", "--help"]),
        ("help_serve_short", vec!["serve", "-h"]),
    ] {
        insta::assert_snapshot!(name, stdout_of(&resnetd(&arguments)));
    }
}
