//! Canary trials that end automatically.

use std::path::Path;
use std::sync::Arc;

use reqwest::Client;
use resnetd::pipeline::Resources;
use resnetd::registry::{AutoPromotion, Canary, RoutingPolicy, Version};
use serde_json::Value;

use crate::support::engines::{Gate, constant_logits, panicking_until};
use crate::support::process::Process;
use crate::support::{
    Answer, Options, TestServer, answered_by, data, default_model, eventually, free_address, get,
    post, serving, write,
};

const LARGE: &str = "cifar10-resnet56";
const SMALL: &str = "cifar10-resnet20";

/// The larger model as version 1, and the smaller one as its canary.
fn with_canary(dir: &Path, auto: &str) -> Process {
    let file = dir.join("resnetd.toml");
    let canary = format!("canary = {{ version = \"2\", share = 0.5, auto = {{ {auto} }} }}");
    let first = format!("[[model]]\nname = \"pets\"\nsource = \"{LARGE}\"\n{canary}\n");
    let second = format!("[[model]]\nname = \"pets\"\nversion = \"2\"\nsource = \"{SMALL}\"\n");
    write(&file, first + &second).unwrap();
    Process::start(&["--config", file.to_str().unwrap()])
}

/// Sends `photo` until the trial has ended, and returns its report.
async fn ended(url: &str, photo: &str) -> Value {
    for number in 0..2000 {
        let request = Client::new().post(format!("{url}/classify")).body(data(photo));
        let request = request.header("x-request-id", format!("photo-{number}"));
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert!([200, 500].contains(&answer.status), "{answer:?}");
        let described = get(&format!("{url}/v1/models/pets")).await.json();
        if described["canary"]["state"] != "running" {
            return described["canary"].clone();
        }
    }
    panic!("the trial did not end: {}", get(&format!("{url}/v1/models/pets")).await.text);
}

/// The versions that answer ten requests.
async fn versions(url: &str) -> Vec<String> {
    let mut versions = Vec::new();
    for _ in 0..10 {
        let answer = post(&format!("{url}/classify"), data("cifar10-cat.png")).await;
        versions.push(answered_by(&answer)[1].clone());
    }
    versions.dedup();
    versions
}

#[tokio::test]
async fn a_canary_that_agrees_is_promoted() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_canary(dir.path(), "requests = 20, min-agreement = 0.9");
    let running = get(&format!("{}/v1/models/pets", server.url)).await.json();
    assert_eq!([&running["canary"]["state"], &running["canary"]["version"]], ["running", "2"]);
    assert_eq!(running["canary"]["auto"]["min_agreement"], 0.9);
    let report = ended(&server.url, "cat.jpg").await;
    assert_eq!(report["state"], "promoted", "{report}");
    assert!(report["requests"].as_u64().unwrap() >= 20, "{report}");
    assert!(report["compared"].as_u64().unwrap() >= 20, "{report}");
    assert_eq!([&report["agreement"], &report["failed"]], [1.0, 0.0], "{report}");
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.contains("the conditions are met: 0 of 2"), "{reason}");
    assert_eq!(versions(&server.url).await, ["2"]);
    // The file is unchanged, so reading it again does not restart the trial.
    server.signal("-HUP");
    assert_eq!(versions(&server.url).await, ["2"]);
}

#[tokio::test]
async fn a_canary_that_disagrees_is_rolled_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_canary(dir.path(), "requests = 20, min-agreement = 0.9");
    // The larger model classifies it as a cat, the smaller one as a dog.
    let report = ended(&server.url, "cifar10-cat.png").await;
    assert_eq!(report["state"], "rolled-back", "{report}");
    // Three of 20 are more than a tenth; more images may have been compared before the decision.
    assert!((3..20).contains(&report["compared"].as_u64().unwrap()), "{report}");
    assert_eq!(report["agreement"], 0.0, "{report}");
    assert!(report["reason"].as_str().unwrap().contains("too little agreement"), "{report}");
    assert_eq!(versions(&server.url).await, ["1"]);
}

#[tokio::test]
async fn a_canary_with_internal_errors_is_rolled_back() {
    let says_cat = || constant_logits(vec![0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let options = Options { engines: Some(vec![says_cat()]), ..Options::default() };
    let plan = options.plan;
    let server = TestServer::with(options);
    let (registry, name) = (&server.server.registry, server.model.name());
    let resources = Resources {
        memory: Arc::clone(&server.server.memory),
        cores: None,
        metrics: server.server.metrics.of_model(name, "2"),
    };
    let broken = panicking_until(&Gate::default());
    let mut canary = serving(default_model(), Some(vec![broken]), plan, resources);
    canary.version = Version::new("2");
    assert!(registry.install(canary).is_none());
    let auto = AutoPromotion { requests: 50, min_agreement: None, max_error_increase: 0.1 };
    let canary = Canary { version: Version::new("2"), share: 0.5, auto: Some(auto) };
    registry.set_policy(name, RoutingPolicy { canary: Some(canary), ..RoutingPolicy::default() });

    let (mut failed, mut sent) = (0, 0);
    let path = format!("/v1/models/{name}");
    let report = loop {
        let answer = server.classify(data("cifar10-cat.png")).await;
        assert!([200, 500].contains(&answer.status), "{answer:?}");
        failed += u64::from(answer.status == 500);
        sent += 1;
        let report = server.get(&path).await.json()["canary"].clone();
        assert_eq!(
            server.get("/readyz").await.status,
            200,
            "readiness does not depend on a canary"
        );
        if report["state"] != "running" || sent > 1000 {
            break report;
        }
        assert_eq!(server.classify(Vec::new()).await.status, 400, "client errors are not counted");
    };
    assert_eq!(report["state"], "rolled-back", "{report}");
    // Six of 50 are more than a tenth.
    assert_eq!([&report["requests"], &report["failed"]], [6, 6], "{report}");
    assert_eq!(report["stable_requests"], sent - failed, "{report}");
    assert!(report["reason"].as_str().unwrap().contains("too many errors"), "{report}");
    for _ in 0..20 {
        assert_eq!(server.classify(data("cifar10-cat.png")).await.status, 200);
    }
}

/// The policy is not part of a model's files, so neither change loads a model.
#[tokio::test]
async fn a_changed_policy_applies_after_a_load_and_ends_with_its_model() {
    let (dir, admin) = (tempfile::tempdir().unwrap(), free_address());
    let file = dir.path().join("resnetd.toml");
    let table = |version: &str, more: &str| {
        format!(
            "[[model]]\nname = \"pets\"\nversion = \"{version}\"\nsource = \"cifar10-resnet20\"\n{more}"
        )
    };
    let other = "[[model]]\nname = \"other\"\nsource = \"cifar10-resnet20\"\ndefault = true\n";
    let canary = "canary = { version = \"2\", share = 0.5 }\n";
    let configure =
        |tables: &[&str]| write(&file, [&[other][..], tables].concat().concat()).unwrap();
    let (plain, second) = (table("1", ""), table("2", ""));
    configure(&[&plain, &second]);
    let arguments = ["--config", file.to_str().unwrap(), "--admin-listen", &admin];
    let server = Process::start(&arguments);
    let show = async || get(&format!("{}/v1/models/pets", server.url)).await;
    assert!(show().await.json()["canary"].is_null());

    configure(&[&table("1", canary), &second]);
    let load = format!("http://{admin}/v2/repository/models/pets/load");
    assert_eq!(post(&load, Vec::new()).await.status, 200);
    assert_eq!(show().await.json()["canary"]["version"], "2");

    configure(&[]);
    server.signal("-HUP");
    eventually("the model is gone", async || show().await.status == 404).await;
    configure(&[&plain, &second]);
    server.signal("-HUP");
    eventually("the model is back", async || show().await.status == 200).await;
    assert!(show().await.json()["canary"].is_null(), "its policy is gone");
}

#[tokio::test]
async fn an_on_demand_canary_answers_only_its_share() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resnetd.toml");
    let table = |version: &str, more: &str| {
        format!(
            "[[model]]\nname = \"pets\"\nversion = \"{version}\"\nsource = \"{SMALL}\"\nload = \"on-demand\"\n{more}"
        )
    };
    let canary = "canary = { version = \"2\", share = 0.0 }\n";
    let other = format!("[[model]]\nname = \"other\"\nsource = \"{SMALL}\"\ndefault = true\n");
    write(&file, [other, table("1", canary), table("2", "")].concat()).unwrap();
    let server = Process::start(&["--config", file.to_str().unwrap()]);
    let classify = async |path: &str| {
        let url = format!("{}/v1/models/pets{path}/classify", server.url);
        answered_by(&post(&url, data("cifar10-cat.png")).await)[1].clone()
    };
    assert_eq!(classify("").await, "1", "the canary is not loaded in place of it");
    assert_eq!(classify("/versions/2").await, "2");
    assert_eq!(classify("").await, "1");
}

#[tokio::test]
async fn invalid_conditions_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    for (auto, words) in [
        ("requests = 0", "requests is 0"),
        ("requests = 9, min-agreement = 98", "min-agreement is 98"),
        ("requests = 9, max-error-increase = -1", "max-error-increase is -1"),
    ] {
        let file = dir.path().join("resnetd.toml");
        let canary = format!("canary = {{ version = \"2\", share = 0.5, auto = {{ {auto} }} }}");
        write(&file, format!("[[model]]\nsource = \"{SMALL}\"\n{canary}\n")).unwrap();
        let output = crate::support::resnetd(&["serve", "--config", file.to_str().unwrap()]);
        let error = crate::support::stderr_of(&output);
        assert!(error.contains(words), "{error}");
    }
}
