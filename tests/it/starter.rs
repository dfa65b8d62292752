//! The starter model, `--model imagenet`: where it is searched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, Uri};
use resnetd::model::starter;
use tempfile::TempDir;

use crate::support::library;

const PHOTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cat.jpg");

/// The program installed below `prefix`, outside of a repository.
fn installed_below(prefix: &Path) -> PathBuf {
    let program = prefix.join("bin/resnetd");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_resnetd"), &program).unwrap();
    program
}

/// Classifies a photo with the starter model; `hub` is the hub's URL.
fn classify(prefix: &Path, hub: &str) -> Output {
    Command::new(installed_below(prefix))
        .args(["classify", "--model", starter::NAME, "--device", "cpu", "--json", PHOTO])
        .args(["--hub-endpoint", hub, "--hub-home"])
        .arg(prefix)
        .env("ORT_DYLIB_PATH", &library().path)
        .current_dir(prefix)
        .output()
        .unwrap()
}

#[test]
fn the_installed_model_is_used() {
    let prefix = TempDir::new().unwrap();
    let folder = prefix.path().join("models/imagenet");
    fs::create_dir_all(&folder).unwrap();
    for file in ["card.toml", "model.safetensors"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cifar10-resnet20").join(file);
        fs::copy(from, folder.join(file)).unwrap();
    }
    let output = classify(prefix.path(), "http://127.0.0.1:9");
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && answer.contains(r#""label":"cat""#), "{output:?}");
}

#[tokio::test]
async fn without_it_the_hub_is_used_and_the_error_has_a_hint() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&asked);
    let hub = Router::new().fallback(async move |uri: Uri| {
        note.lock().unwrap().push(uri.path().to_owned());
        StatusCode::NOT_FOUND
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, hub).await.unwrap() });

    let prefix = TempDir::new().unwrap();
    let path = prefix.path().to_owned();
    let output = tokio::task::spawn_blocking(move || classify(&path, &address)).await.unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{output:?}");
    assert!(message.contains("make run MODEL=imagenet"), "{message}");
    let first = asked.lock().unwrap()[0].clone();
    assert_eq!(first, format!("/api/models/{}/revision/main", starter::ON_THE_HUB));
}
