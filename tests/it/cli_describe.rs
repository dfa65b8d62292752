//! `resnetd describe`, `completions` and `man`.

use std::process::Output;

use crate::support::{resnetd, stderr_of};

fn stdout_of(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn describe_shows_the_published_figures() {
    let output = stdout_of(&resnetd(&["describe", "resnet50"]));
    assert!(output.contains("resnet50: 25,557,032 parameters"), "{output}");
    insta::assert_snapshot!(
        "describe_resnet18_stages",
        stdout_of(&resnetd(&["describe", "resnet18", "--stages"]))
    );
    let list = stdout_of(&resnetd(&["describe"]));
    assert!(list.contains("resnet1202"), "{list}");
    let unknown = stderr_of(&resnetd(&["describe", "resnet51"]));
    assert!(unknown.contains("resnet50"), "{unknown}");
}

#[test]
fn describe_shows_models_in_all_formats() {
    let folder = tempfile::tempdir().unwrap();
    let onnx = folder.path().join("exported.onnx");
    stdout_of(&resnetd(&["export", "-o", onnx.to_str().unwrap()]));
    let weights = "models/cifar10-resnet56/model.safetensors";
    for model in [
        &["cifar10-resnet56"][..],
        &["models/cifar10-resnet56"],
        &[weights, "--arch", "resnet56"],
        &[onnx.to_str().unwrap()],
    ] {
        let text = stdout_of(&resnetd(&[&["describe", "--stages"], model].concat()));
        for expected in ["architecture resnet56", "input 32×32", "precision fp32", "digest "] {
            let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(squeezed.contains(expected), "{model:?}: {expected}: {text}");
        }
        assert!(text.contains("resnet56: 853,018 parameters"), "{model:?}: {text}");
    }
}

#[test]
fn describe_counts_the_operators_of_graphs_that_are_not_in_the_table() {
    let int8 = stdout_of(&resnetd(&["describe", "models/cifar10-resnet56/model-int8.onnx"]));
    assert!(int8.contains("int8") && int8.contains("resnet56"), "{int8}");
    let text = stdout_of(&resnetd(&["describe", "tests/data/onnx/exported.onnx"]));
    assert!(text.contains("an ONNX file without a card"), "{text}");
    assert!(text.contains("Conv") && text.contains("opset"), "{text}");
    let words = stderr_of(&resnetd(&["describe", "Cargo.toml"]));
    assert!(words.contains("Cargo"), "{words}");
    let words = stderr_of(&resnetd(&["describe", "nowhere.onnx"]));
    assert!(words.contains("there is no file, folder or embedded model"), "{words}");
}

#[test]
fn completions_and_man_pages_have_all_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout_of(&resnetd(&["completions", shell]));
        assert!(script.contains("healthcheck") && script.contains("queue-capacity"), "{shell}");
    }
    let page = stdout_of(&resnetd(&["man"]));
    assert!(page.contains(".TH resnetd 1") && page.contains("healthcheck"), "{page}");
    let serve = stdout_of(&resnetd(&["man", "serve"]));
    assert!(serve.contains("queue\\-capacity"), "{serve}");
    let words = stderr_of(&resnetd(&["man", "nonsense"]));
    assert!(words.contains("the commands are serve, classify"), "{words}");
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    stdout_of(&resnetd(&["man", "--output", pages.to_str().unwrap()]));
    assert!(pages.join("resnetd.1").is_file() && pages.join("resnetd-serve.1").is_file());
}
