//! Models of the hub, from a local server with the hub's protocol.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use futures_util::{StreamExt, stream};
use resnetd::hub::{Event, Hub, HubError, HubId};
use resnetd::model::{Model, Task};
use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::write;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub with one repository, `lab/pets`, which was called `lab/animals` before.
struct FakeHub {
    files: BTreeMap<&'static str, Bytes>,
    /// Faults and requirements.
    faults: Faults,
    /// All requests: method, path, range and token.
    recorded: Mutex<Vec<RecordedRequest>>,
    /// Address of another server, for large files.
    store: Option<String>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Faults {
    /// Closes the connection of a large file after this number of bytes.
    breaks_off_after: Option<usize>,
    /// Ignores ranges and sends large files from the start.
    has_no_ranges: bool,
    /// Announces a hash other than the file's.
    lies: bool,
    /// Requires the token `secret`.
    is_private: bool,
}

#[derive(Debug, Clone)]
struct RecordedRequest {
    method: Method,
    path: String,
    range: Option<String>,
    token: Option<String>,
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn is_large(file: &str) -> bool {
    file.ends_with(".safetensors")
}

impl FakeHub {
    fn new(faults: Faults) -> Self {
        let read = |file: &str| -> Bytes {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cifar10-resnet20");
            fs::read(folder.join(file)).unwrap().into()
        };
        let files = BTreeMap::from([
            ("README.md", Bytes::from_static(b"# Pets")),
            ("card.toml", read("card.toml")),
            ("model.safetensors", read("model.safetensors")),
        ]);
        Self { files, faults, recorded: Mutex::default(), store: None }
    }

    /// Starts it on a free port.
    async fn start(self) -> (String, Arc<Self>) {
        let hub = Arc::new(self);
        let app = Router::new()
            .route("/api/models/{owner}/{name}/revision/{revision}", get(list))
            .route("/{owner}/{name}/resolve/{commit}/{*file}", get(resolve))
            .route("/store/{*file}", get(stored))
            .with_state(Arc::clone(&hub));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (address, hub)
    }

    fn note(&self, method: &Method, path: String, headers: &HeaderMap) -> Option<Response> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let token = text("authorization");
        let refused = self.faults.is_private && token.as_deref() != Some("Bearer secret");
        let recorded =
            RecordedRequest { method: method.clone(), path, range: text("range"), token };
        self.recorded.lock().unwrap().push(recorded);
        let answer = (StatusCode::UNAUTHORIZED, [("x-error-message", "Invalid credentials")]);
        refused.then(|| answer.into_response())
    }

    /// Returns and forgets all requests so far.
    fn recorded(&self) -> Vec<RecordedRequest> {
        std::mem::take(&mut *self.recorded.lock().unwrap())
    }

    fn hash(&self, file: &str) -> String {
        let bytes = if self.faults.lies { b"something else" } else { &self.files[file][..] };
        if is_large(file) {
            hex(&Sha256::digest(bytes))
        } else {
            let length = format!("blob {}\0", bytes.len());
            hex(&Sha1::digest([length.as_bytes(), bytes].concat()))
        }
    }

    /// The bytes of the requested range, cut if that is a configured fault.
    fn body(&self, file: &str, headers: &HeaderMap) -> Response {
        let whole = &self.files[file];
        let range = headers.get("range").map(|value| value.to_str().unwrap());
        let Some(range) = range else { return whole.clone().into_response() };
        let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let (mut first, mut last) = (first.parse().unwrap(), last.parse().unwrap());
        let mut status = StatusCode::PARTIAL_CONTENT;
        if self.faults.has_no_ranges {
            (first, last, status) = (0, usize::MAX, StatusCode::OK);
        }
        let last = last.min(whole.len() - 1);
        let part = whole.slice(first..=last);
        let header = [("content-range", format!("bytes {first}-{last}/{}", whole.len()))];
        let cut = self.faults.breaks_off_after.filter(|&cut| is_large(file) && cut < part.len());
        match cut {
            None => (status, header, part).into_response(),
            Some(cut) => {
                let sent = async move { Ok(part.slice(..cut)) };
                let broken = async {
                    tokio::task::yield_now().await; // send what was written so far
                    Err(std::io::Error::other("cut"))
                };
                let body = Body::from_stream(stream::once(sent).chain(stream::once(broken)));
                (status, header, body).into_response()
            }
        }
    }
}

type Parts = BTreeMap<String, String>;

async fn list(
    State(hub): State<Arc<FakeHub>>,
    UrlPath(parts): UrlPath<Parts>,
    headers: HeaderMap,
) -> Response {
    let path = format!("list {}", parts["revision"]);
    if let Some(refused) = hub.note(&Method::GET, path, &headers) {
        return refused;
    }
    if parts["name"] == "animals" {
        return Redirect::temporary(&format!(
            "/api/models/lab/pets/revision/{}",
            parts["revision"]
        ))
        .into_response();
    }
    let known = ["main", "v1", COMMIT].contains(&parts["revision"].as_str());
    if (parts["owner"].as_str(), parts["name"].as_str()) != ("lab", "pets") || !known {
        return (StatusCode::NOT_FOUND, [("x-error-message", "Not here")]).into_response();
    }
    let siblings: Vec<_> = hub.files.keys().map(|file| json!({"rfilename": file})).collect();
    axum::Json(json!({"id": "lab/pets", "sha": COMMIT, "siblings": siblings})).into_response()
}

async fn resolve(
    State(hub): State<Arc<FakeHub>>,
    UrlPath(parts): UrlPath<Parts>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let file = parts["file"].as_str();
    if let Some(refused) = hub.note(&method, file.to_owned(), &headers) {
        return refused;
    }
    assert_eq!(parts["commit"], COMMIT);
    if parts["name"] == "animals" {
        let renamed = format!("/lab/pets/resolve/{COMMIT}/{file}");
        return Redirect::temporary(&renamed).into_response();
    }
    let etag = format!("\"{}\"", hub.hash(file));
    let size = hub.files[file].len().to_string();
    if is_large(file) {
        let location = format!("{}/store/{file}", hub.store.as_deref().unwrap_or_default());
        let about = [("x-linked-etag", etag), ("x-linked-size", size), ("location", location)];
        (StatusCode::FOUND, about).into_response()
    } else if method == Method::HEAD {
        (StatusCode::OK, [("etag", etag), ("content-length", size)]).into_response()
    } else {
        hub.body(file, &headers)
    }
}

async fn stored(
    State(hub): State<Arc<FakeHub>>,
    UrlPath(file): UrlPath<String>,
    headers: HeaderMap,
) -> Response {
    hub.note(&Method::GET, format!("store {file}"), &headers);
    hub.body(&file, &headers)
}

fn client(endpoint: &str, cache: &TempDir) -> Hub {
    let (endpoint, cache) = (endpoint.to_owned(), cache.path().to_owned());
    Hub { endpoint, token: None, cache, offline: false }
}

/// Fetches a model on a blocking thread. Also returns the number of retries.
async fn fetch(hub: &Hub, id: &str) -> (Result<PathBuf, HubError>, usize) {
    let (hub, id) = (hub.clone(), HubId::parse(id).unwrap());
    let work = tokio::task::spawn_blocking(move || {
        let mut retries = 0;
        let folder = hub.fetch(&id, &mut |event| {
            retries += usize::from(matches!(event, Event::Retrying(_)));
        });
        (folder, retries)
    });
    work.await.unwrap()
}

#[tokio::test]
async fn a_model_is_fetched_once_and_then_used_without_the_network() {
    let (address, server) = FakeHub::new(Faults::default()).start().await;
    let cache = tempfile::tempdir().unwrap();
    let hub = client(&address, &cache);
    let folder = fetch(&hub, "lab/pets").await.0.unwrap();
    let model = Model::open(folder.to_str().unwrap(), None).unwrap();
    assert_eq!(model.onnx, Model::open("cifar10-resnet20", None).unwrap().onnx);
    assert!(
        !server.recorded().iter().any(|recorded| recorded.path == "README.md"),
        "only what is needed"
    );

    // In the layout of huggingface_hub.
    let repository = cache.path().join("models--lab--pets");
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    assert_eq!(folder, repository.join("snapshots").join(COMMIT));
    let link = fs::read_link(folder.join("model.safetensors")).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(server.hash("model.safetensors")));

    // A second time, only the commit of `main` and the file list are requested.
    fetch(&hub, "lab/pets").await.0.unwrap();
    let again = server.recorded();
    assert_eq!(again[0].path, "list main");
    assert!(again[1..].iter().all(|recorded| recorded.method == Method::HEAD), "{again:?}");

    // A commit is immutable, so nothing is requested.
    fetch(&hub, &format!("lab/pets@{COMMIT}")).await.0.unwrap();
    fetch(&Hub { offline: true, ..hub.clone() }, "lab/pets").await.0.unwrap();
    assert!(server.recorded().is_empty());

    // Without network, cached models are used, and others are an error.
    let nowhere = client("http://127.0.0.1:9", &cache);
    assert_eq!(fetch(&nowhere, "lab/pets").await.0.unwrap(), folder);
    let error = fetch(&Hub { offline: true, ..hub }, "lab/dogs").await.0.unwrap_err().to_string();
    assert!(error.contains("--hub-offline (HF_HUB_OFFLINE) is set"), "{error}");
}

#[tokio::test]
async fn without_network_and_cache_the_error_lists_what_was_tried() {
    let cache = tempfile::tempdir().unwrap();
    let (result, retries) = fetch(&client("http://127.0.0.1:9", &cache), "lab/pets").await;
    let error = result.unwrap_err().to_string();
    assert!(error.starts_with("http://127.0.0.1:9/api/models/lab/pets/revision/main"), "{error}");
    assert!(error.contains("HF_ENDPOINT sets a mirror"), "{error}");
    assert!(retries > 1);
}

#[tokio::test]
async fn an_interrupted_download_is_resumed() {
    let faults = Faults { breaks_off_after: Some(400_000), ..Faults::default() };
    let (address, server) = FakeHub::new(faults).start().await;
    let cache = tempfile::tempdir().unwrap();
    // Left by an earlier run.
    let blobs = cache.path().join("models--lab--pets/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let whole = server.files["model.safetensors"].clone();
    let incomplete = blobs.join(format!("{}.incomplete", server.hash("model.safetensors")));
    let mut file = fs::File::create(&incomplete).unwrap();
    std::io::Write::write_all(&mut file, &whole[..100_000]).unwrap();
    drop(file);

    let folder = fetch(&client(&address, &cache), "lab/pets").await.0.unwrap();
    assert_eq!(fs::read(folder.join("model.safetensors")).unwrap(), whole);
    assert!(!incomplete.exists());
    let requests = server.recorded();
    let starts: Vec<usize> = requests
        .iter()
        .filter(|recorded| recorded.path == "store model.safetensors")
        .map(|recorded| {
            recorded.range.as_deref().unwrap()[6..].split('-').next().unwrap().parse().unwrap()
        })
        .collect();
    assert!(whole.len() > 900_000 && starts.len() == whole.len().div_ceil(400_000), "{starts:?}");
    assert_eq!(starts[0], 100_000);
    assert!(
        starts.windows(2).all(|pair| pair[0] < pair[1]),
        "no byte is downloaded twice: {starts:?}"
    );
}

#[tokio::test]
async fn a_lost_connection_is_reported_with_the_url_and_the_bytes_received() {
    let ends = Faults { breaks_off_after: Some(400_000), has_no_ranges: true, ..Faults::default() };
    let never_begins = Faults { breaks_off_after: Some(0), ..Faults::default() };
    for (faults, expected) in [(ends, "the answer ended after 400000 of "), (never_begins, "")] {
        let (address, _server) = FakeHub::new(faults).start().await;
        let cache = tempfile::tempdir().unwrap();
        let error = fetch(&client(&address, &cache), "lab/pets").await.0.unwrap_err().to_string();
        let url = format!("{address}/lab/pets/resolve/{COMMIT}/model.safetensors");
        let expected = format!("{url} cannot be downloaded: {expected}");
        assert!(error.starts_with(&expected), "{error}");
    }
}

/// The hub answers requests for the old name with redirects, which have no hash.
#[tokio::test]
async fn a_renamed_repository_is_found_by_its_old_name() {
    let (address, _server) = FakeHub::new(Faults::default()).start().await;
    let cache = tempfile::tempdir().unwrap();
    let folder = fetch(&client(&address, &cache), "lab/animals").await.0.unwrap();
    assert!(folder.ends_with(Path::new("models--lab--animals/snapshots").join(COMMIT)));
    Model::open(folder.to_str().unwrap(), None).unwrap();
}

/// As `hf_hub_download(repository, "model.safetensors")` leaves the cache.
fn download_weights_only(server: &FakeHub, cache: &TempDir) -> PathBuf {
    let repository = cache.path().join("models--lab--pets");
    let snapshot = repository.join("snapshots").join(COMMIT);
    for folder in [&repository.join("blobs"), &repository.join("refs"), &snapshot] {
        fs::create_dir_all(folder).unwrap();
    }
    let blob = Path::new("blobs").join(server.hash("model.safetensors"));
    write(repository.join(&blob), &server.files["model.safetensors"]).unwrap();
    write(repository.join("refs/main"), COMMIT).unwrap();
    let link = snapshot.join("model.safetensors");
    std::os::unix::fs::symlink(Path::new("../..").join(blob), link).unwrap();
    snapshot
}

#[tokio::test]
async fn a_snapshot_with_weights_only_is_completed() {
    let (address, server) = FakeHub::new(Faults::default()).start().await;
    let cache = tempfile::tempdir().unwrap();
    let snapshot = download_weights_only(&server, &cache);
    let pinned = format!("lab/pets@{COMMIT}");

    // Without network, what is there is used.
    let hub = client(&address, &cache);
    let offline = Hub { offline: true, ..hub.clone() };
    let unreachable = client("http://127.0.0.1:9", &cache);
    for id in ["lab/pets", &pinned] {
        assert_eq!(fetch(&offline, id).await.0.unwrap(), snapshot);
        assert_eq!(fetch(&unreachable, id).await.0.unwrap(), snapshot);
    }
    assert!(!snapshot.join("card.toml").exists());

    // With network, the card is fetched, and the weights are not.
    assert_eq!(fetch(&hub, &pinned).await.0.unwrap(), snapshot);
    assert!(snapshot.join("card.toml").is_file());
    let requests = server.recorded();
    assert!(!requests.iter().any(|it| it.path.ends_with(".safetensors")), "{requests:?}");
    fetch(&hub, &pinned).await.0.unwrap();
    assert!(server.recorded().is_empty(), "now it is complete");
}

#[tokio::test]
async fn a_file_with_a_wrong_hash_is_deleted() {
    let (address, server) = FakeHub::new(Faults { lies: true, ..Faults::default() }).start().await;
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&client(&address, &cache), "lab/pets").await.0.unwrap_err();
    let message = error.to_string();
    let HubError::Damaged { file, expected, .. } = error else { panic!("{message}") };
    assert_eq!((file.as_str(), expected), ("card.toml", server.hash("card.toml")));
    assert!(message.contains("its git hash is") && message.contains("deleted"), "{message}");
    let blobs = fs::read_dir(cache.path().join("models--lab--pets/blobs")).unwrap();
    assert_eq!(blobs.count(), 0);
}

#[tokio::test]
async fn a_private_model_needs_a_token_that_only_the_hub_gets() {
    let (store, elsewhere) = FakeHub::new(Faults::default()).start().await;
    let mut private = FakeHub::new(Faults { is_private: true, ..Faults::default() });
    private.store = Some(store);
    let (address, server) = private.start().await;
    let cache = tempfile::tempdir().unwrap();
    let hub = client(&address, &cache);
    let error = fetch(&hub, "lab/pets").await.0.unwrap_err().to_string();
    assert!(error.contains("401") && error.contains("Invalid credentials"), "{error}");
    assert!(error.contains("needs HF_TOKEN"), "{error}");

    let hub = Hub { token: Some("secret".to_owned()), ..hub };
    fetch(&hub, "lab/pets").await.0.unwrap();
    assert!(server.recorded().iter().any(|recorded| recorded.token.is_some()));
    let stored = elsewhere.recorded();
    assert!(
        !stored.is_empty() && stored.iter().all(|recorded| recorded.token.is_none()),
        "{stored:?}"
    );
}

#[tokio::test]
async fn a_missing_repository_is_named() {
    let (address, _server) = FakeHub::new(Faults::default()).start().await;
    let cache = tempfile::tempdir().unwrap();
    let hub = client(&address, &cache);
    for id in ["lab/dogs", "lab/pets@v9"] {
        let error = fetch(&hub, id).await.0.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{id}: {address}/api/models/")), "{error}");
        assert!(error.contains("Not here"), "{error}");
    }
    let tagged = fetch(&hub, "lab/pets@v1").await.0.unwrap();
    assert!(tagged.ends_with(COMMIT));
    assert!(cache.path().join("models--lab--pets/refs/v1").is_file());
}

/// Repositories for transformers.js have a graph in `onnx/` with its weights, and transformers' files.
#[tokio::test]
async fn a_graph_in_a_folder_comes_with_its_weights_and_is_described_by_the_config() {
    let data = |name: &str| fs::read(Path::new("tests/data/onnx").join(name)).unwrap();
    let (from, to) = (b"exported.onnx.data", b"model.onnx_data-00"); // of the same length
    let mut graph = data("exported.onnx");
    let places: Vec<usize> =
        (0..graph.len() - from.len()).filter(|&place| graph[place..].starts_with(from)).collect();
    assert!(!places.is_empty());
    for place in places {
        graph[place..place + to.len()].copy_from_slice(to);
    }
    let config = json!({
        "model_type": "vit", "problem_type": "multi_label_classification",
        "id2label": { "0": "a", "1": "b", "2": "c" },
    });
    let preprocessor = json!({
        "image_processor_type": "ViTImageProcessor", "size": { "height": 8, "width": 8 },
        "resample": 2, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25],
    });
    let files = BTreeMap::from([
        ("config.json", Bytes::from(config.to_string())),
        ("preprocessor_config.json", Bytes::from(preprocessor.to_string())),
        ("onnx/model.onnx", Bytes::from(graph)),
        ("onnx/model.onnx_data-00", Bytes::from(data("exported.onnx.data"))),
        ("onnx/model_fp16.onnx", Bytes::from_static(b"another")),
    ]);
    let hub = FakeHub { files, ..FakeHub::new(Faults::default()) };
    let (address, server) = hub.start().await;
    let cache = tempfile::tempdir().unwrap();
    let folder = fetch(&client(&address, &cache), "lab/pets").await.0.unwrap();
    assert!(
        !server.recorded().iter().any(|recorded| recorded.path.contains("fp16")),
        "only what is needed"
    );
    let model = Model::open(folder.to_str().unwrap(), None).unwrap();
    assert_eq!((&*model.card.name, &*model.card.architecture), ("lab/pets", "onnx"));
    assert_eq!(model.card.labels, ["a", "b", "c"]);
    assert_eq!(model.card.task, Task::MultiLabel);
    assert_eq!((model.card.preprocess.input, model.card.preprocess.std), ([8, 8], [0.25; 3]));

    fs::remove_file(folder.join("preprocessor_config.json")).unwrap();
    let error = Model::open(folder.to_str().unwrap(), None).unwrap_err().to_string();
    assert!(error.contains("preprocessor_config.json"), "{error}");
}

/// Runs commands with ids of the hub.
#[tokio::test]
async fn commands_accept_hub_ids() {
    let (address, _server) = FakeHub::new(Faults::default()).start().await;
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().to_str().unwrap().to_owned();
    let work = tokio::task::spawn_blocking(move || {
        crate::support::resnetd(&[
            "classify",
            "--model",
            "lab/pets",
            "--hub-endpoint",
            &address,
            "--hub-cache",
            &folder,
            "--device",
            "cpu",
            "--json",
            "tests/data/cifar10-cat.png",
        ])
    });
    let output = work.await.unwrap();
    let message = String::from_utf8_lossy(&output.stdout);
    assert!(
        message.contains(r#""label":"cat""#),
        "{message}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn commands_without_a_server_log_that_the_hub_cannot_be_reached() {
    let (address, _server) = FakeHub::new(Faults::default()).start().await;
    let cache = tempfile::tempdir().unwrap();
    fetch(&client(&address, &cache), "lab/pets").await.0.unwrap();
    let (folder, output) = (cache.path().to_str().unwrap(), cache.path().join("pets.onnx"));
    let export = ["export", "--output", output.to_str().unwrap(), "--model", "lab/pets"];
    for command in [&["describe", "lab/pets"][..], &export] {
        let hub = ["--hub-endpoint", "http://127.0.0.1:9", "--hub-cache", folder];
        let output = crate::support::resnetd(&[command, &hub].concat());
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
        assert!(words.contains("the hub cannot be reached: using the cached model"), "{words}");
    }
}
