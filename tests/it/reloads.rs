//! New versions that cannot be loaded: the old one continues to serve, and the reason is reported.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::support::process::Process;
use crate::support::{Answer, answered_by, data, eventually, export, get, post, resnetd, write};

const SMALL: &str = "cifar10-resnet20";
const LARGE: &str = "cifar10-resnet56";

/// A server of one model, `pets`, whose folder is polled.
struct Polled {
    server: Process,
    /// The model's folder.
    pets: PathBuf,
    _dir: tempfile::TempDir,
}

impl Polled {
    /// Version 1 is the larger model.
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pets = dir.path().join("models/pets");
        export(LARGE, &pets.join("1"));
        let folder = dir.path().join("models");
        let arguments = ["--model-repository", folder.to_str().unwrap(), "--sessions", "1"];
        let poll = ["--model-control", "poll", "--repository-poll", "100ms"];
        let server = Process::start(&[&arguments[..], &poll[..]].concat());
        Self { server, pets, _dir: dir }
    }

    async fn get(&self, path: &str) -> Answer {
        get(&format!("{}{path}", self.server.url)).await
    }

    /// The version that answers.
    async fn version(&self) -> String {
        let url = format!("{}/classify", self.server.url);
        let answer = post(&url, data("cifar10-cat.png")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answered_by(&answer)[1].clone()
    }

    /// The entry of a version in `/v1/models`.
    async fn listed(&self, version: &str) -> Value {
        let listed = self.get("/v1/models").await.json()["versions"].clone();
        let versions = listed.as_array().unwrap();
        versions.iter().find(|found| found["version"] == version).cloned().unwrap_or_default()
    }

    /// Waits until the version has a reason for not being loaded.
    async fn reason(&self, version: &str) -> String {
        eventually("the version is listed with a reason", async || {
            self.listed(version).await["reason"].is_string()
        })
        .await;
        self.listed(version).await["reason"].as_str().unwrap().to_owned()
    }

    /// Number of loads with this result, of any reason.
    async fn loads(&self, result: &str) -> u64 {
        loads(&self.get("/metrics").await.text, &format!("result=\"{result}\""))
    }

    /// Number of loads that failed for this reason.
    async fn failures(&self, reason: &str) -> u64 {
        let labels = format!("reason=\"{reason}\",result=\"failed\"");
        loads(&self.get("/metrics").await.text, &labels)
    }

    /// Adds a folder with these files to the repository, atomically.
    fn put(&self, version: &str, files: &[(&str, &[u8])]) {
        let next = self.pets.join(".next");
        fs::create_dir(&next).unwrap();
        for (name, bytes) in files {
            write(next.join(name), bytes).unwrap();
        }
        fs::rename(next, self.pets.join(version)).unwrap();
    }
}

/// The sum of all series of `pets` in `metrics` that have these labels.
fn loads(metrics: &str, labels: &str) -> u64 {
    let series = metrics.lines().filter(|line| {
        line.starts_with("resnetd_model_loads_total{model=\"pets\",") && line.contains(labels)
    });
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// A file of an embedded model.
fn embedded(file: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(SMALL).join(file)).unwrap()
}

#[tokio::test]
async fn a_version_that_fails_a_golden_photo_does_not_serve() {
    let polled = Polled::start();
    assert_eq!([polled.loads("loaded").await, polled.loads("failed").await], [1, 0]);
    let card = String::from_utf8(embedded("card.toml")).unwrap();
    let changed = card.replacen("logits = [6.58764,", "logits = [-6.58764,", 1);
    assert_ne!(card, changed);
    let weights = embedded("model.safetensors");
    polled.put("2", &[("card.toml", changed.as_bytes()), ("model.safetensors", &weights)]);
    let reason = polled.reason("2").await;
    assert!(reason.contains("golden photo 1 has logit 6.5"), "{reason}");
    assert_eq!(polled.listed("2").await["state"], "unavailable");
    assert_eq!([polled.loads("loaded").await, polled.loads("failed").await], [1, 1]);
    assert_eq!(polled.failures("golden").await, 1);
    assert_eq!(polled.version().await, "1");
    assert_eq!(polled.get("/readyz").await.status, 200);

    write(polled.pets.join("2/card.toml"), &card).unwrap();
    eventually("the repaired version answers", async || polled.version().await == "2").await;
    assert_eq!([polled.loads("loaded").await, polled.loads("failed").await], [2, 1]);
    let superseded = "resnetd_model_unloads_total{model=\"pets\",reason=\"superseded\"} 1\n";
    eventually("the first version is unloaded", async || {
        polled.get("/metrics").await.text.contains(superseded)
    })
    .await;
}

#[tokio::test]
async fn the_log_has_the_default_model_and_both_digests_of_a_replacement() {
    let dir = tempfile::tempdir().unwrap();
    let (config, log) = (dir.path().join("serve.toml"), dir.path().join("log"));
    let table = |source: &str| {
        let others = "name = \"other\"\nsource = \"cifar10-resnet20\"\n";
        format!(
            "[[model]]\nname = \"pets\"\nsource = \"{source}\"\ndefault = true\n[[model]]\n{others}"
        )
    };
    write(&config, table(SMALL)).unwrap();
    let arguments = ["--config", config.to_str().unwrap(), "--log-format", "json"];
    let server = Process::start_logging(fs::File::create(&log).unwrap(), "info", &arguments);
    let digest = async || {
        let answer = post(&format!("{}/classify", server.url), data("cifar10-cat.png")).await;
        answered_by(&answer)[2].clone()
    };
    let lines = || -> Vec<Value> {
        let text = fs::read_to_string(&log).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let before = digest().await;
    let ready = lines().into_iter().filter(|line| line["message"] == "ready");
    let mut marked: Vec<_> = ready
        .map(|line| (line["model"].as_str().unwrap().to_owned(), line["default"].clone()))
        .collect();
    marked.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        marked,
        [("other".to_owned(), Value::Bool(false)), ("pets".to_owned(), Value::Bool(true))]
    );

    let answered = || lines().into_iter().find(|line| line["message"] == "answered");
    eventually("the answer is logged", async || answered().is_some()).await;
    let line = answered().unwrap();
    assert_eq!([&line["model"], &line["version"]], ["pets", "1"], "{line}");

    write(&config, table(LARGE)).unwrap();
    server.signal("-HUP");
    let replaced = || {
        let is_it = |line: &Value| line["message"].as_str().unwrap().starts_with("replaced: ");
        lines().into_iter().find(is_it)
    };
    eventually("the replaced version has ended", async || replaced().is_some()).await;
    let after = digest().await;
    let line = replaced().unwrap();
    assert_eq!([&line["digest"], &line["replaced_by"]], [&*before, &*after], "{line}");
    assert_ne!(before, after);
}

#[tokio::test]
async fn a_changed_card_beside_a_file_is_read_at_sighup() {
    let dir = tempfile::tempdir().unwrap();
    let (weights, card) = (dir.path().join("pets.safetensors"), dir.path().join("pets.toml"));
    let text = String::from_utf8(embedded("card.toml")).unwrap();
    write(&weights, embedded("model.safetensors")).unwrap();
    write(&card, &text).unwrap();
    let model = format!("pets={}", weights.display());
    let server = Process::start_in(dir.path(), &["--model", &model]);
    let label = async || {
        let answer = post(&format!("{}/classify", server.url), data("cifar10-cat.png")).await;
        answer.json()["predictions"][0]["label"].as_str().unwrap().to_owned()
    };
    assert_eq!(label().await, "dog");
    let changed = text.replacen("\"dog\"", "\"hound\"", 1);
    assert_ne!(changed, text);
    write(&card, changed).unwrap();
    server.signal("-HUP");
    eventually("the new label is answered", async || label().await == "hound").await;
}

#[tokio::test]
async fn a_version_with_a_wrong_digest_does_not_serve() {
    let polled = Polled::start();
    let (card, weights) = (embedded("card.toml"), embedded("model.safetensors"));
    // The digest of an empty file.
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let sums = format!("{empty}  model.safetensors\n");
    polled.put(
        "2",
        &[("card.toml", &card), ("model.safetensors", &weights), ("SHA256SUMS", sums.as_bytes())],
    );
    let reason = polled.reason("2").await;
    assert!(
        reason.contains("model.safetensors has the digest") && reason.contains(empty),
        "{reason}"
    );
    assert_eq!(polled.version().await, "1");
    assert_eq!([polled.loads("failed").await, polled.failures("digest").await], [1, 1]);

    let sums = reason.split("has the digest ").nth(1).unwrap();
    let sums = format!("{}  model.safetensors\n", &sums[..64]);
    write(polled.pets.join("2/SHA256SUMS"), sums).unwrap();
    eventually("the version with the correct list answers", async || polled.version().await == "2")
        .await;
}

/// Names and contents of files.
type Files<'a> = &'a [(&'a str, &'a [u8])];

/// A graph whose operators of one kind have a name that ONNX Runtime does not know.
fn with_unknown_operator() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    export(SMALL, dir.path());
    let mut graph = fs::read(dir.path().join("model.onnx")).unwrap();
    let places: Vec<usize> =
        (0..graph.len() - 4).filter(|&at| graph[at..].starts_with(b"Relu")).collect();
    assert!(!places.is_empty());
    for place in places {
        graph[place..place + 4].copy_from_slice(b"Rexu");
    }
    graph
}

#[tokio::test]
async fn the_reason_of_a_failed_load_is_in_the_metric_and_in_the_list() {
    let polled = Polled::start();
    let card = String::from_utf8(embedded("card.toml")).unwrap();
    let architecture = card.lines().find(|line| line.starts_with("architecture")).unwrap();
    let unknown = card.replace(architecture, "architecture = \"resnet9000\"");
    let (weights, graph) = (embedded("model.safetensors"), with_unknown_operator());
    let half = &weights[..weights.len() / 2];
    let no_labels = "architecture = \"resnet20\"\n";
    let versions: [(&str, Files<'_>, &str); 6] = [
        ("unreadable", &[("notes.txt", b"nothing")], "contains no model"),
        ("damaged", &[("card.toml", card.as_bytes()), ("model.safetensors", half)], "truncated"),
        ("damaged", &[("model.onnx", b"not a graph")], "not an ONNX model"),
        ("card", &[("card.toml", no_labels.as_bytes()), ("model.safetensors", &weights)], "labels"),
        (
            "unsupported",
            &[("card.toml", unknown.as_bytes()), ("model.safetensors", &weights)],
            "resnet9000",
        ),
        ("runtime", &[("model.onnx", &graph)], "Rexu"),
    ];
    for (number, (reason, files, words)) in (2..).zip(versions) {
        let (before, version) = (polled.failures(reason).await, format!("{number}"));
        polled.put(&version, files);
        let listed = polled.reason(&version).await;
        assert!(listed.contains(words), "{reason}: {listed}");
        assert_eq!(polled.failures(reason).await, before + 1, "{reason}: {listed}");
        assert_eq!(polled.version().await, "1");
    }
    assert_eq!(polled.loads("failed").await, 6, "no other reason was counted");
}

#[tokio::test]
async fn a_device_that_the_machine_does_not_have_is_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resnetd.toml");
    let table = format!("[[model]]\nname = \"pets\"\nsource = \"{SMALL}\"\n");
    write(&file, &table).unwrap();
    let server = Process::start(&["--config", file.to_str().unwrap()]);
    let at = |path: &str| format!("{}{path}", server.url);
    // No machine has so many.
    write(&file, format!("{table}device = \"cuda:99\"\n")).unwrap();
    server.signal("-HUP");
    let failed = async || loads(&get(&at("/metrics")).await.text, "reason=\"device\"") == 1;
    eventually("the device is missing", failed).await;
    let listed = get(&at("/v1/models")).await.json()["versions"][0].clone();
    assert_eq!(listed["state"], "ready");
    assert!(listed["reason"].as_str().unwrap().contains("cuda:99"), "{listed}");
}

#[tokio::test]
async fn files_that_are_being_written_and_folders_that_disappear_change_nothing() {
    let polled = Polled::start();
    // The file grows at each poll.
    let whole = {
        let dir = tempfile::tempdir().unwrap();
        export(SMALL, dir.path());
        fs::read(dir.path().join("model.onnx")).unwrap()
    };
    fs::create_dir(polled.pets.join("2")).unwrap();
    let mut file = fs::File::create(polled.pets.join("2/model.onnx")).unwrap();
    let (beginning, end) = whole.split_at(whole.len() - 1000);
    for piece in beginning.chunks(whole.len().div_ceil(20)) {
        file.write_all(piece).unwrap();
        assert_eq!(polled.version().await, "1");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    file.write_all(end).unwrap();
    eventually("the complete file answers", async || polled.version().await == "2").await;

    // Folders appear and disappear while they are scanned or opened.
    for round in 0..20_u64 {
        export_by_copy(&whole, &polled.pets.join("3"));
        tokio::time::sleep(Duration::from_millis(20 * round)).await;
        fs::rename(polled.pets.join("3"), polled.pets.join(".gone")).unwrap();
        fs::remove_dir_all(polled.pets.join(".gone")).unwrap();
        let version = polled.version().await;
        assert!(["2", "3"].contains(&&*version), "{version}");
    }
    eventually("the remaining version answers again", async || polled.version().await == "2").await;
    fs::rename(&polled.pets, polled.pets.with_extension("away")).unwrap();
    let gone = async || polled.get("/readyz").await.status == 503;
    eventually("a model whose folder was removed is unloaded", gone).await;
    fs::rename(polled.pets.with_extension("away"), &polled.pets).unwrap();
    eventually("it is loaded again", async || polled.get("/readyz").await.status == 200).await;
}

fn export_by_copy(graph: &[u8], folder: &Path) {
    fs::create_dir(folder).unwrap();
    write(folder.join("model.onnx"), graph).unwrap();
}

#[tokio::test]
async fn the_configuration_pins_the_digest_of_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let (file, pets) = (dir.path().join("resnetd.toml"), dir.path().join("pets"));
    export(LARGE, &pets);
    let table = |more: &str| {
        let source = pets.to_str().unwrap();
        write(&file, format!("[[model]]\nname = \"pets\"\nsource = {source:?}\n{more}")).unwrap();
    };
    table("");
    let server = Process::start(&["--config", file.to_str().unwrap()]);
    let at = |path: &str| format!("{}{path}", server.url);
    let answer = async || post(&at("/classify"), data("cifar10-cat.png")).await;
    let digest = answered_by(&answer().await)[2].clone();
    table(&format!("digest = \"{digest}\"\n"));
    server.signal("-HUP");
    let loads = async |labels: &str| loads(&get(&at("/metrics")).await.text, labels);
    eventually("it is loaded again", async || loads("result=\"loaded\"").await == 2).await;

    export(SMALL, &pets);
    server.signal("-HUP");
    eventually("the other graph fails", async || loads("reason=\"digest\"").await == 1).await;
    let listed = get(&at("/v1/models")).await.json()["versions"][0].clone();
    assert_eq!(listed["state"], "ready");
    let reason = listed["reason"].as_str().unwrap();
    assert!(reason.contains(&digest) && reason.contains("the configuration has"), "{reason}");
    assert_eq!(answered_by(&answer().await)[2], digest);

    table("digest = \"abc\"\n");
    let output = resnetd(&["serve", "--config", file.to_str().unwrap()]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("64 hexadecimal digits"), "{words}");
}

#[tokio::test]
async fn a_removed_source_is_not_looked_for_on_the_hub() {
    let dir = tempfile::tempdir().unwrap();
    export(SMALL, &dir.path().join("models/pets"));
    write(
        dir.path().join("resnetd.toml"),
        "[[model]]\nname = \"pets\"\nsource = \"models/pets\"\n",
    )
    .unwrap();
    let server = Process::start_in(dir.path(), &["--config", "resnetd.toml"]);
    let at = |path: &str| format!("{}{path}", server.url);
    fs::rename(dir.path().join("models"), dir.path().join("moved")).unwrap();
    server.signal("-HUP");
    let listed = async || get(&at("/v1/models")).await.json()["versions"][0].clone();
    eventually("the reason is listed", async || listed().await["reason"].is_string()).await;
    let listed = listed().await;
    assert_eq!(listed["state"], "ready");
    let metrics = get(&at("/metrics")).await.text;
    assert_eq!(loads(&metrics, "reason=\"unreadable\""), 1);
    assert!(
        listed["reason"].as_str().unwrap().contains("models/pets does not exist any more"),
        "{listed}"
    );
    assert_eq!(post(&at("/classify"), data("cifar10-cat.png")).await.status, 200);
}
