//! Several models in one server, changed at run time.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use crate::support::process::Process;
use crate::support::{
    Answer, answered_by, data, eventually, export, free_address, get, post, resnetd, write,
};

const SMALL: &str = "cifar10-resnet20";
const LARGE: &str = "cifar10-resnet56";

#[tokio::test]
async fn each_protocol_reaches_each_model() {
    let server = Process::start(&["--model", &format!("small={SMALL}"), "--model", LARGE]);
    let at = |path: &str| format!("{}{path}", server.url);
    let cat = || data("cifar10-cat.png");
    for (path, model) in [
        ("/classify", "small"),
        ("/v1/models/small/classify", "small"),
        ("/v1/models/cifar10-resnet56/classify", LARGE),
        ("/v1/models/cifar10-resnet56/versions/1/classify", LARGE),
        ("/v1/models/cifar10-resnet56/embed", LARGE),
        ("/v1/models/cifar10-resnet56/preprocess", LARGE),
        ("/v1/models/cifar10-resnet56:predict", LARGE),
        ("/v1/models/small/versions/1:predict", "small"),
        ("/predictions/cifar10-resnet56", LARGE),
        ("/predictions/cifar10-resnet56/1.0", LARGE),
        ("/predictions/small", "small"),
        ("/models/cifar10-resnet56", LARGE),
        ("/invocations", "small"),
        ("/", "small"),
    ] {
        let answer = post(&at(path), cat()).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let [name, version, _] = answered_by(&answer);
        assert_eq!([&*name, &*version], [model, "1"], "{path}");
    }
    let body = json!({ "inputs": [{
        "name": "pixels", "shape": [1, 32, 32, 3], "datatype": "UINT8", "data": vec![7; 32 * 32 * 3],
    }]});
    let path = "/v2/models/cifar10-resnet56/versions/1/infer";
    let answer = post(&at(path), body.to_string().into_bytes()).await;
    assert_eq!(answer.json()["model_name"], LARGE, "{answer:?}");
    for path in
        ["/v1/models/none/classify", "/v1/models/small/versions/2/classify", "/predictions/x"]
    {
        let answer = post(&at(path), cat()).await;
        assert_eq!((answer.status, &*answer.reason()), (404, "not-found"), "{path}");
    }
    let models = get(&at("/v1/models")).await.json();
    assert_eq!(models["models"], json!([LARGE, "small"]));
    assert_eq!(models["default"], "small");
    assert_eq!(models["versions"][0]["state"], "ready");
    let described = get(&at("/v1/models/small")).await.json();
    assert_eq!([&described["name"], &described["ready"]], [&json!("small"), &json!(true)]);
    assert_eq!(described["architecture"], "resnet20");
    assert_eq!(described["digests"]["graph"], models["versions"][1]["digest"]);
    let index = post(&at("/v2/repository/index"), Vec::new()).await.json();
    assert_eq!(index.as_array().unwrap().len(), 2);
    let statistics = get(&at("/v2/models/small/stats")).await.json();
    assert_eq!(statistics["model_stats"][0]["name"], "small");
    // Changes are only possible on the admin address.
    let answer = post(&at("/v2/repository/models/small/unload"), Vec::new()).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn two_models_with_the_same_name_are_an_error_at_the_start() {
    let output = resnetd(&["serve", "--listen", "127.0.0.1:0", "--model", SMALL, "--model", SMALL]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(words.contains("two models are named") && words.contains("--model NAME="), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_replaced_under_load_without_failed_or_mixed_answers() {
    let dir = tempfile::tempdir().unwrap();
    let (root, spare) = (dir.path().join("models"), dir.path().join("spare"));
    export(SMALL, &spare.join("small"));
    export(LARGE, &spare.join("large"));
    fs::create_dir_all(&root).unwrap();
    let link = |name: &str| {
        // As Kubernetes swaps the link of a volume.
        let next = root.join(".next");
        std::os::unix::fs::symlink(spare.join(name), &next).unwrap();
        fs::rename(next, root.join("pets")).unwrap();
    };
    link("small");
    let folder = root.to_str().unwrap();
    let server = Process::start(&["--model-repository", folder, "--sessions", "1"]);
    let url = format!("{}/v1/models/pets/classify", server.url);
    let digest = async || answered_by(&post(&url, data("cifar10-cat.png")).await)[2].clone();
    let first = digest().await;

    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (url, stop, count) = (url.clone(), Arc::clone(&stop), Arc::clone(&count));
            tokio::spawn(async move {
                let (client, mut seen) = (Client::new(), BTreeSet::new());
                while !stop.load(Ordering::Relaxed) {
                    let sent = client.post(&url).body(data("cifar10-cat.png")).send().await;
                    let answer = Answer::of(sent.unwrap()).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let probability = answer.json()["predictions"][0]["probability"].to_string();
                    seen.insert((answered_by(&answer)[2].clone(), probability));
                    count.fetch_add(1, Ordering::Relaxed);
                }
                seen
            })
        })
        .collect();
    for name in ["large", "small", "large", "small", "large"] {
        let before = digest().await;
        link(name);
        server.signal("-HUP");
        eventually("another model answers", async || digest().await != before).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut seen = BTreeSet::new();
    for client in clients {
        seen.extend(client.await.unwrap());
    }
    assert!(count.load(Ordering::Relaxed) > 20);
    // Each digest has only one probability, so no answer mixes two models.
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_ne!(first, digest().await);
}

#[tokio::test]
async fn an_invalid_version_does_not_replace_the_old_one_and_a_repaired_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    export(SMALL, &root.join("pets/1"));
    let folder = root.to_str().unwrap();
    let arguments = ["--model-repository", folder, "--model-control", "poll"];
    let server = Process::start(&[&arguments[..], &["--repository-poll", "100ms"]].concat());
    let at = |path: &str| format!("{}{path}", server.url);
    let version = async || {
        let answer = post(&at("/v1/models/pets/classify"), data("cifar10-cat.png")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answered_by(&answer)[1].clone()
    };
    assert_eq!(version().await, "1");

    fs::create_dir(root.join("pets/2")).unwrap();
    write(root.join("pets/2/model.onnx"), "not a graph").unwrap();
    let state = async || -> Value {
        let listed = get(&at("/v1/models")).await.json()["versions"].clone();
        let versions = listed.as_array().unwrap();
        versions.iter().find(|version| version["version"] == "2").cloned().unwrap_or_default()
    };
    eventually("the invalid version is listed", async || state().await["reason"].is_string()).await;
    assert_eq!(state().await["state"], "unavailable");
    assert_eq!(version().await, "1", "the old version continues to serve");
    assert_eq!(get(&at("/readyz")).await.status, 200);

    export(LARGE, &root.join("next"));
    fs::rename(root.join("next/model.onnx"), root.join("pets/2/model.onnx")).unwrap();
    fs::remove_dir(root.join("next")).unwrap();
    eventually("the repaired version answers", async || version().await == "2").await;
    eventually("the old version was removed", async || {
        let listed = get(&at("/v1/models")).await.json()["versions"].clone();
        listed.as_array().unwrap().len() == 1
    })
    .await;

    fs::rename(root, root.with_extension("away")).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(version().await, "2", "an unreadable repository changes nothing");
    fs::rename(root.with_extension("away"), root).unwrap();
}

#[tokio::test]
async fn the_admin_address_loads_and_unloads() {
    let dir = tempfile::tempdir().unwrap();
    export(SMALL, &dir.path().join("pets"));
    let (folder, admin) = (dir.path().to_str().unwrap(), free_address());
    let arguments = ["--model-repository", folder, "--model-control", "explicit"];
    let server = Process::start(&[&arguments[..], &["--admin-listen", &admin]].concat());
    let public = |path: &str| format!("{}{path}", server.url);
    let admin = |path: &str| format!("http://{admin}{path}");
    let classify =
        async || post(&public("/v1/models/pets/classify"), data("cifar10-cat.png")).await;

    let answer = classify().await;
    assert_eq!((answer.status, &*answer.reason()), (503, "not-ready"), "{answer:?}");
    assert!(answer.text.contains("admin address"), "{answer:?}");
    assert_eq!(post(&admin("/v2/repository/models/pets/load"), Vec::new()).await.status, 200);
    assert_eq!(classify().await.status, 200);
    assert_eq!(get(&admin("/ping")).await.status, 200);
    let index = post(&admin("/v2/repository/index"), b"{}".to_vec()).await.json();
    assert_eq!(index[0]["state"], "READY");
    assert!(get(&admin("/metrics")).await.text.contains("resnetd_images_total{model=\"pets\""));
    let body = json!({ "parameters": { "config": "{}" } }).to_string().into_bytes();
    let answer = post(&admin("/v2/repository/models/pets/load"), body).await;
    assert_eq!((answer.status, &*answer.reason()), (422, "invalid-parameter"));
    assert_eq!(post(&admin("/v2/repository/models/pets/unload"), Vec::new()).await.status, 200);
    let answer = classify().await;
    assert_eq!((answer.status, &*answer.reason()), (503, "not-ready"));
    let counted = get(&admin("/metrics")).await.text;
    assert!(counted.contains("resnetd_model_not_ready_total{model=\"pets\"} 2"), "{counted}");
    let answer = post(&admin("/models"), b"{".to_vec()).await;
    assert_eq!((answer.status, &*answer.reason()), (400, "bad-request"), "{answer:?}");
    let answer = post(&admin("/v2/repository/models/pets/load"), vec![b' '; 70_000]).await;
    assert_eq!((answer.status, &*answer.reason()), (413, "too-many-bytes"), "{answer:?}");
    let answer = post(&admin("/v2/repository/models/none/load"), Vec::new()).await;
    assert_eq!((answer.status, &*answer.reason()), (404, "not-found"), "{answer:?}");

    // SageMaker's multi-model API.
    let load = Client::new().post(admin("/models")).header("content-type", "application/json");
    let body = json!({ "model_name": "pets", "url": "/opt/ml/models/pets" });
    assert_eq!(
        load.try_clone().unwrap().body(body.to_string()).send().await.unwrap().status(),
        200
    );
    assert_eq!(load.body(body.to_string()).send().await.unwrap().status(), 409);
    assert_eq!(get(&admin("/models")).await.json()["models"][0]["modelName"], "pets");
    let answer = post(&admin("/models/pets/invoke"), data("cifar10-cat.png")).await;
    assert_eq!(answer.json()["model"], "pets", "{answer:?}");
    assert_eq!(Client::new().delete(admin("/models/pets")).send().await.unwrap().status(), 200);
    assert_eq!(classify().await.status, 503);
    // Routes for changes are not on the public address.
    for path in ["/v2/repository/models/pets/load", "/models/pets/invoke/x"] {
        let answer = post(&public(path), Vec::new()).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let answer = post(&public("/v2/repository/models/pets/load"), Vec::new()).await;
    assert!(answer.text.contains("only on the server's admin address"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_address_accepts_only_keys_of_admins() {
    let (dir, admin) = (tempfile::tempdir().unwrap(), free_address());
    let file = dir.path().join("keys");
    let key = |name: &str, role: &str| {
        let file = file.to_str().unwrap();
        let output = resnetd(&["api-key", name, "--role", role, "--append", file]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (phone, operator) = (key("phone", "user"), key("operator", "admin"));
    let server = Process::start(&["--admin-listen", &admin, "--api-keys", file.to_str().unwrap()]);
    let sent = async |request: reqwest::RequestBuilder, key: &str| {
        let request = if key.is_empty() { request } else { request.header("x-api-key", key) };
        Answer::of(request.send().await.unwrap()).await
    };
    let admin = |path: &str| format!("http://{admin}{path}");
    let index = || Client::new().post(admin("/v2/repository/index")).body("{}");
    assert_eq!(sent(index(), "").await.reason(), "unauthenticated");
    let answer = sent(index(), &phone).await;
    assert_eq!((answer.status, &*answer.reason()), (403, "not-an-admin"), "{answer:?}");
    assert!(answer.text.contains("phone") && !answer.text.contains(&phone), "{answer:?}");
    assert_eq!(sent(index(), &operator).await.status, 200);
    // Probes need no key, and scrapes none of an admin.
    assert_eq!(sent(Client::new().get(admin("/livez")), "").await.status, 200);
    assert_eq!(sent(Client::new().get(admin("/metrics")), &phone).await.status, 200);
    // On the public address both are equal.
    for key in [&phone, &operator] {
        let classify = Client::new().post(format!("{}/classify", server.url));
        let answer = sent(classify.body(data("cifar10-cat.png")), key).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test]
async fn sagemaker_adds_models_by_their_path() {
    let (dir, admin) = (tempfile::tempdir().unwrap(), free_address());
    export(LARGE, &dir.path().join("model"));
    let server = Process::start(&["--admin-listen", &admin]);
    let admin = |path: &str| format!("http://{admin}{path}");
    let load = async |path: &Path| {
        let body = json!({ "model_name": "f00d", "url": path.to_str().unwrap() }).to_string();
        let request = Client::new().post(admin("/models")).body(body);
        Answer::of(request.header("content-type", "application/json").send().await.unwrap()).await
    };
    let missing = load(&dir.path().join("none")).await;
    assert!(missing.text.contains("cannot be read"), "{missing:?}");
    assert_eq!(
        get(&admin("/models/f00d")).await.status,
        404,
        "a model that failed to load is not listed"
    );
    assert_eq!(load(&dir.path().join("model")).await.status, 200);
    assert_eq!(load(&dir.path().join("model")).await.status, 409);
    let answer = post(&admin("/models/f00d/invoke"), data("cifar10-cat.png")).await;
    assert_eq!(answer.json()["model"], "f00d", "{answer:?}");
    server.signal("-HUP");
    assert_eq!(get(&admin("/models/f00d")).await.json()["modelName"], "f00d");
    assert_eq!(Client::new().delete(admin("/models/f00d")).send().await.unwrap().status(), 200);
    assert_eq!(get(&admin("/models/f00d")).await.status, 404);
}

#[tokio::test]
async fn sagemaker_is_told_to_unload_a_model_where_the_memory_limit_is_reached() {
    let (dir, admin) = (tempfile::tempdir().unwrap(), free_address());
    for name in ["first", "second"] {
        export(LARGE, &dir.path().join(name));
    }
    let size = fs::metadata(dir.path().join("first/model.onnx")).unwrap().len();
    let limit = (size * 3).to_string();
    let options = ["--model", SMALL, "--precision", "fp32", "--model-memory-limit", &limit];
    let _server = Process::start(&[&options[..], &["--admin-listen", &admin]].concat());
    let admin = |path: &str| format!("http://{admin}{path}");
    let load = async |name: &str| {
        let path = dir.path().join(name);
        let body = json!({ "model_name": name, "url": path.to_str().unwrap() }).to_string();
        let request = Client::new().post(admin("/models")).body(body);
        Answer::of(request.header("content-type", "application/json").send().await.unwrap()).await
    };
    assert_eq!(load("first").await.status, 200);
    assert_eq!(load("second").await.status, 200);
    let third = dir.path().join("third");
    fs::create_dir(&third).unwrap();
    fs::copy(dir.path().join("first/model.onnx"), third.join("model.onnx")).unwrap();
    let refused = load("third").await;
    assert_eq!(refused.status, 507, "{refused:?}");
    assert!(refused.text.contains("--model-memory-limit"), "{refused:?}");
    assert_eq!(get(&admin("/models/third")).await.status, 404, "it is not kept");
    let unloaded = Client::new().delete(admin("/models/first")).send().await.unwrap();
    assert_eq!(unloaded.status(), 200);
    assert_eq!(load("third").await.status, 200);
}

#[tokio::test]
async fn models_are_loaded_on_demand_and_the_one_unused_longest_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resnetd.toml");
    let table = |name: &str, source: &str| {
        // fp32, because the size must not depend on the processor.
        format!(
            "[[model]]\nname = \"{name}\"\nsource = \"{source}\"\nload = \"on-demand\"\nprecision = \"fp32\"\n"
        )
    };
    let tables = [table("a", SMALL), table("b", SMALL), table("c", LARGE)].concat();
    write(&file, format!("model-memory-limit = \"3MiB\"\n{tables}")).unwrap();
    let server = Process::start(&["--config", file.to_str().unwrap()]);
    let at = |path: &str| format!("{}{path}", server.url);
    let loaded = async || -> Vec<String> {
        let listed = get(&at("/v1/models")).await.json()["versions"].clone();
        let ready = listed.as_array().unwrap().iter().filter(|it| it["state"] == "ready");
        ready.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(loaded().await, [""; 0]);
    for (name, then) in [("a", "a"), ("b", "a b"), ("a", "a b"), ("c", "c")] {
        let answer =
            post(&at(&format!("/v1/models/{name}/classify")), data("cifar10-cat.png")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(loaded().await.join(" "), then);
    }
    let answer = get(&at("/v1/models/a")).await;
    assert_eq!(answer.status, 200, "requesting its description also loads it");
}

#[tokio::test]
async fn an_on_demand_model_that_cannot_be_loaded_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let graph = dir.path().join("broken.onnx");
    write(&graph, "not a graph").unwrap();
    let file = dir.path().join("resnetd.toml");
    let tables = format!(
        "[[model]]\nname = \"small\"\nsource = \"{SMALL}\"\n\
         [[model]]\nname = \"broken\"\nload = \"on-demand\"\nsource = {:?}\n",
        graph.to_str().unwrap()
    );
    write(&file, tables).unwrap();
    let server = Process::start(&["--config", file.to_str().unwrap()]);
    let url = format!("{}/v1/models/broken/classify", server.url);
    for _ in 0..2 {
        let answer = post(&url, data("cifar10-cat.png")).await;
        assert_eq!((answer.status, answer.reason()), (503, "not-ready".to_owned()), "{answer:?}");
        assert!(answer.text.contains("is not an ONNX model"), "{answer:?}");
        assert!(answer.text.contains("a retry helps only after"), "{answer:?}");
        assert_eq!(answer.header("retry-after"), "30", "{answer:?}");
    }
}

#[tokio::test]
async fn a_list_in_the_file_is_separated_by_commas() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resnetd.toml");
    write(&file, "allow-host = \"a.example,b.example\"\n").unwrap();
    let server = Process::start(&["--config", file.to_str().unwrap()]);
    for (host, status) in [("a.example", 200), ("b.example", 200), ("c.example", 421)] {
        let request = Client::new().get(format!("{}/livez", server.url)).header("host", host);
        assert_eq!(request.send().await.unwrap().status(), status, "{host}");
    }
}

#[tokio::test]
async fn the_variable_of_the_model_counts_only_without_other_models() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resnetd.toml");
    write(&file, format!("[[model]]\nname = \"pets\"\nsource = \"{SMALL}\"\n")).unwrap();
    let names = async |arguments: &[&str]| {
        let server = Process::start_with("RESNETD_MODEL", LARGE, arguments);
        get(&format!("{}/v1/models", server.url)).await.json()["models"].clone()
    };
    assert_eq!(names(&[]).await, json!([LARGE]));
    assert_eq!(names(&["--config", file.to_str().unwrap()]).await, json!(["pets"]));
    export(SMALL, &dir.path().join("models/cars"));
    let folder = dir.path().join("models");
    assert_eq!(names(&["--model-repository", folder.to_str().unwrap()]).await, json!(["cars"]));
}

#[test]
fn a_model_to_load_must_exist_and_needs_explicit_control() {
    let dir = tempfile::tempdir().unwrap();
    export(SMALL, &dir.path().join("pets"));
    let folder = dir.path().to_str().unwrap();
    let refused = |arguments: &[&str]| {
        let options = ["serve", "--listen", "0", "--model-repository", folder];
        let output = resnetd(&[&options[..], &["--load-model", "cars"], arguments].concat());
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let words = refused(&[]);
    assert!(words.contains("needs --model-control explicit"), "{words}");
    let words = refused(&["--model-control", "explicit"]);
    assert!(words.contains("there is no such model; the models are pets"), "{words}");
}

#[tokio::test]
async fn all_invalid_tables_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resnetd.toml");
    let wrong = "[[model]]\nsource = \"a\"\nload = \"on-demand\"\n\
                 [[model]]\nsource = \"b\"\ndevice = \"gpu\"\n\
                 [[model]]\nsource = \"c\"\nname = \"x/y\"\n";
    write(&file, wrong).unwrap();
    let output = resnetd(&["serve", "--config", file.to_str().unwrap()]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    for expected in ["it needs a name", "gpu", "use ASCII letters"] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    write(&file, "[[model]]\nsauce = \"a\"\n").unwrap();
    let output = resnetd(&["serve", "--config", file.to_str().unwrap()]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("sauce") && words.contains("source"), "{words}");
}

/// A server with two models, the larger with these lines in its table.
fn with_policy(dir: &Path, lines: &str, arguments: &[&str]) -> Process {
    let file = dir.join("resnetd.toml");
    let small = format!("[[model]]\nname = \"small\"\nsource = \"{SMALL}\"\n");
    let large =
        format!("[[model]]\nname = \"large\"\nsource = \"{LARGE}\"\ndefault = true\n{lines}\n");
    write(&file, [small, large].concat()).unwrap();
    Process::start(&[&["--config", file.to_str().unwrap()], arguments].concat())
}

#[tokio::test]
async fn a_canary_answers_its_share_of_requests_until_it_is_promoted() {
    let dir = tempfile::tempdir().unwrap();
    let second = format!("[[model]]\nname = \"large\"\nversion = \"2\"\nsource = \"{SMALL}\"\n");
    let lines = format!("canary = {{ version = \"2\", share = 0.3 }}\n{second}");
    let admin = free_address();
    let server = with_policy(dir.path(), &lines, &["--admin-listen", &admin]);
    let url = format!("{}/classify", server.url);
    let version = async |id: usize| {
        let request = Client::new().post(&url).header("x-request-id", format!("photo-{id}"));
        let answer = Answer::of(request.body(data("cifar10-cat.png")).send().await.unwrap()).await;
        answered_by(&answer)[1].clone()
    };
    let mut versions = Vec::new();
    for id in 0..100 {
        versions.push(version(id).await);
    }
    let canaries = versions.iter().filter(|version| *version == "2").count();
    assert!((10..50).contains(&canaries), "{canaries} of 100");
    assert_eq!(version(7).await, versions[7], "an id always gets the same version");
    let promote = format!("http://{admin}/v1/models/large/canary/promote");
    assert_eq!(post(&promote, Vec::new()).await.json()["version"], "2");
    for id in 0..10 {
        assert_eq!(version(id).await, "2");
    }
    let answer = post(&promote, Vec::new()).await;
    assert_eq!((answer.status, answer.reason()), (400, "change-failed".to_owned()), "{answer:?}");
    assert!(answer.text.contains("has no canary"), "{answer:?}");
}

#[tokio::test]
async fn a_cheaper_model_answers_during_overload_unless_a_request_disables_the_fallback() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "when-busy = { model = \"small\", after = \"1ms\" }";
    let server = with_policy(dir.path(), lines, &["--sessions", "1"]);
    let at = |path: &str| format!("{}{path}", server.url);
    let one = post(&at("/classify"), data("cifar10-cat.png")).await;
    assert_eq!(one.json()["model"], "large", "nothing is in flight");
    let flood = |query: &'static str| {
        let url = at(query);
        (0..40).map(move |_| {
            let url = url.clone();
            tokio::spawn(async move { post(&url, data("cat.jpg")).await })
        })
    };
    // On a busy machine the requests of a flood can arrive so slowly that none of them waits.
    let mut cheaper = Vec::new();
    for _ in 0..60 {
        for answer in flood("/classify?top_k=1").collect::<Vec<_>>() {
            cheaper.push(answer.await.unwrap());
        }
        cheaper.retain(|answer| answer.json()["model"] == "small");
        if !cheaper.is_empty() {
            break;
        }
    }
    assert!(!cheaper.is_empty());
    assert_eq!(cheaper[0].json()["instead_of"], "large");
    assert_eq!(cheaper[0].header("x-model-fallback-for"), "large");
    assert_eq!(cheaper[0].json()["predictions"].as_array().unwrap().len(), 1);
    for answer in flood("/classify?fallback=off").collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap().json()["model"], "large");
    }
    let answer = post(&at("/classify?fallback=maybe"), data("cifar10-cat.png")).await;
    assert_eq!((answer.status, &*answer.reason()), (422, "invalid-parameter"));
}

#[tokio::test]
async fn a_shadow_is_compared_with_the_model_that_answers() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_policy(dir.path(), "shadow = \"small\"", &[]);
    let at = |path: &str| format!("{}{path}", server.url);
    let report = async || get(&at("/v1/models/large/shadow")).await.json();
    assert_eq!(report().await["compared"], 0);
    for name in ["cifar10-cat.png", "cat.jpg", "cifar10-cat.png"] {
        assert_eq!(post(&at("/classify"), data(name)).await.json()["model"], "large");
        eventually("it is compared or skipped", async || {
            let report = report().await;
            let of = |name: &str| report[name].as_u64().unwrap();
            of("compared") + of("skipped") + of("failed") > 0
        })
        .await;
    }
    eventually("an image is compared", async || {
        post(&at("/classify"), data("cifar10-cat.png")).await;
        report().await["compared"].as_u64().unwrap() > 0
    })
    .await;
    let report = report().await;
    assert_eq!([&report["model"], &report["shadow"]], ["large", "small"]);
    let [low, high] = [0, 1].map(|end| report["agreement_interval"][end].as_f64().unwrap());
    let agreement = report["agreement"].as_f64().unwrap();
    assert!(low <= agreement && agreement <= high, "{report}");
    assert_eq!(get(&at("/v1/models/small/shadow")).await.status, 404);
}

#[tokio::test]
async fn the_option_for_the_default_model_overrides_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let server = with_policy(dir.path(), "", &["--default-model", "small"]);
    assert_eq!(get(&format!("{}/v1/models", server.url)).await.json()["default"], "small");
}
