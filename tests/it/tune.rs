//! `resnetd tune`, and the file that it writes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::resnetd;

/// The errors of `serve` for a file with invalid options, which end it at once.
#[expect(clippy::disallowed_methods, reason = "a file in a temporary folder")]
fn refused(file: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resnetd.toml");
    fs::write(&path, file).unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--config", path.to_str().unwrap()];
    let output = resnetd(&[&serve, arguments].concat());
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn tune_prints_its_results_and_writes_a_file_for_serve() {
    let folder = tempfile::tempdir().unwrap();
    let (file, plot) = (folder.path().join("here.toml"), folder.path().join("here.svg"));
    let output = resnetd(&[
        "tune",
        "--json",
        "--budget",
        "1s",
        "--output",
        file.to_str().unwrap(),
        "--plot",
        plot.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["rounds"].as_u64().unwrap() >= 1);
    let standings = report["standings"].as_array().unwrap();
    assert!(standings.len() >= 12, "two precisions, two arrangements, three batches: {report}");
    for standing in standings {
        assert!(standing["trials"][0]["images_per_second"].as_f64().unwrap() > 0.0, "{standing}");
    }
    assert!(fs::read_to_string(plot).unwrap().contains("batches to 16"));

    let written = fs::read_to_string(&file).unwrap();
    let options: toml::Table = written.parse().unwrap();
    let chosen = &report["chosen"];
    assert_eq!(options["precision"].as_str(), chosen["precision"].as_str());
    assert_eq!(options["max-batch"].as_integer(), chosen["max_batch"].as_i64());
    assert_eq!(options["device"].as_str(), Some("cpu"));
    // The file is valid: only the added option is an error.
    let words = refused(&written, &["--request-timeout", "0s"]);
    assert!(words.contains("--request-timeout is 0"), "{words}");
}

#[test]
fn an_unreachable_latency_is_an_error_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("here.toml");
    let output = resnetd(&[
        "tune",
        "--latency",
        "1ns",
        "--budget",
        "1s",
        "--output",
        file.to_str().unwrap(),
    ]);
    assert!(!output.status.success());
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("no setting reaches"), "{words}");
    assert!(!Path::exists(&file));
}

#[test]
fn the_command_line_overrides_the_file() {
    let both = refused("threads = 0\nsessions = 0\n", &[]);
    assert!(both.contains("--threads is 0") && both.contains("--sessions is 0"), "{both}");
    let one = refused("threads = 0\nsessions = 0\n", &["--threads", "1"]);
    assert!(!one.contains("--threads is 0") && one.contains("--sessions is 0"), "{one}");
}

#[test]
fn an_invalid_file_is_an_error_with_the_valid_values() {
    for (file, expected) in [
        ("sesions = 2\n", "sesions is not an option of serve; the options are"),
        ("threads = [1]\n", "threads is [1]; it must be a string, a number, true or false"),
        ("threads = \"many\"\n", "invalid value 'many' for '--threads"),
        ("threads 2\n", "--config"),
        (
            "[[model]]\nsource = \"cifar10-resnet20\"\n[[model]]\nsource = 2\n",
            "[[model]] number 2: invalid type: integer `2`",
        ),
        ("cuda-graphs = \"on\"\ndevice = \"cpu\"\n", "--cuda-graphs on needs a GPU"),
    ] {
        let words = refused(file, &[]);
        assert!(words.contains(expected), "{file}: {words}");
    }
    let output = resnetd(&["serve", "--config", "/nowhere/resnetd.toml"]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("/nowhere/resnetd.toml: it cannot be read"), "{words}");
}
