//! API keys, and limits of clients.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use resnetd::http::{AccessPlan, KeyRing, NewKey, OpenMetrics, Proxies};
use resnetd::pipeline::decode::{Format, Formats};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::engines::Gate;
use crate::support::{Answer, Options, TestServer, data, program, resnetd, stderr_of, until};

/// A file of keys.
struct KeyFile {
    folder: TempDir,
}

impl KeyFile {
    fn with(text: &str) -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        file.write(text);
        file
    }

    /// Replaces the file atomically.
    fn write(&self, text: &str) {
        let new = self.folder.path().join("new");
        crate::support::write(&new, text).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("keys")
    }

    fn plan(&self) -> AccessPlan {
        let keys = KeyRing::open(&self.path()).unwrap();
        AccessPlan { keys: Some(Arc::new(keys)), ..AccessPlan::default() }
    }
}

fn serve(access: AccessPlan) -> TestServer {
    TestServer::with(Options { access, ..Options::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn bench_sends_its_api_key() {
    let key = NewKey::make("load-test").unwrap();
    let server = serve(KeyFile::with(&key.line).plan());
    let photo = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cifar10-cat.png");
    let bench = |key: &str| {
        let (url, key) = (server.url.clone(), key.to_owned());
        tokio::task::spawn_blocking(move || {
            let mut command = program(&["bench", &url, "--data", photo, "--duration", "200ms"]);
            command.args(["--warm-up", "0s", "--concurrency", "1"]);
            command.env("RESNETD_API_KEY", key).output().unwrap()
        })
    };
    assert!(bench(&key.key).await.unwrap().status.success());
    let refused = stderr_of(&bench("another").await.unwrap());
    assert!(refused.contains("401 unauthenticated"), "{refused}");
    let invalid = stderr_of(&bench("a\nb").await.unwrap());
    assert!(invalid.contains("the API key has characters"), "{invalid}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_priority_is_the_lower_one_of_the_header_and_the_key() {
    let (person, job) = (NewKey::make("person").unwrap(), NewKey::make("job").unwrap());
    let lines = format!("{}\n{} priority=batch\n", person.line, job.line);
    let server = serve(KeyFile::with(&lines).plan());
    let classify = async |key: &NewKey, priority: Option<&'static str>| {
        let mut request = server.client.post(server.at("/classify")).bearer_auth(&key.key);
        if let Some(priority) = priority {
            request = request.header("x-priority", priority);
        }
        Answer::of(request.body(data("cifar10-cat.png")).send().await.unwrap()).await
    };
    for (key, priority, expected) in [
        (&person, None, [1, 0]),
        (&person, Some("batch"), [1, 1]),
        (&job, None, [1, 2]),
        (&job, Some("interactive"), [1, 3]),
        (&person, Some("interactive"), [2, 3]),
    ] {
        assert_eq!(classify(key, priority).await.status, 200);
        let waits = server.model.pipeline.metrics().queue_waits().each_ref();
        assert_eq!(waits.map(prometheus::Histogram::get_sample_count), expected);
    }
    let wrong = classify(&person, Some("u=1")).await;
    assert_eq!((wrong.status, wrong.reason().as_str()), (422, "invalid-parameter"));
    assert!(wrong.text.contains("use interactive or batch"), "{wrong:?}");
}

/// `GET /v1/model` with these headers.
async fn model(server: &TestServer, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = server.client.get(server.at("/v1/model"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request.send().await.unwrap()).await
}

/// The status and message of a gRPC call without a message.
async fn call(server: &TestServer, method: &str, key: Option<&str>) -> (String, String) {
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let empty: &[u8] = &[0; 5];
    let mut request = client.post(server.at(method)).header("content-type", "application/grpc");
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let response = request.body(empty).send().await.unwrap();
    let header = |name: &str| {
        let value = response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        value.unwrap_or_default()
    };
    assert_eq!(response.status(), 200);
    (header("grpc-status"), header("grpc-message"))
}

#[tokio::test]
async fn requests_need_a_key_but_probes_and_the_files_of_the_page_do_not() {
    let (ours, theirs) = (NewKey::make("ours").unwrap(), NewKey::make("theirs").unwrap());
    let server = serve(KeyFile::with(&format!("{}\n{}\n", ours.line, theirs.line)).plan());
    for path in [
        "/livez",
        "/readyz",
        "/ping",
        "/health",
        "/v2/health/live",
        "/v2/health/ready",
        "/",
        "/page/page.js",
        "/docs",
        "/docs/docs.js",
        "/openapi.json",
    ] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    for path in ["/v1/model", "/v2", "/metrics", "/none", "/v1/models", "/classify"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.reason()), (401, "unauthenticated".to_owned()), "{path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert!(answer.header("x-request-id").len() > 1);
    }
    assert_eq!(server.classify(data("cifar10-cat.png")).await.status, 401);
    let bearer = format!("Bearer {}", ours.key);
    assert_eq!(model(&server, &[("authorization", &bearer)]).await.status, 200);
    assert_eq!(
        model(&server, &[("authorization", &bearer.replace("Bearer", "bearer"))]).await.status,
        200
    );
    assert_eq!(model(&server, &[("x-api-key", &theirs.key)]).await.status, 200);
    // A proxy's credentials are not the API key.
    let basic = [("authorization", "Basic dTpw"), ("x-api-key", &*theirs.key)];
    assert_eq!(model(&server, &basic).await.status, 200);
    for wrong in
        ["Bearer ", "Bearer x", &bearer[..bearer.len() - 1], &format!("{bearer}0"), &ours.key]
    {
        let answer = model(&server, &[("authorization", wrong)]).await;
        assert_eq!(answer.status, 401, "{wrong}");
        assert!(!answer.text.contains("resnetd_"), "{answer:?}");
    }
    let request = server.client.get(server.at("/metrics")).header("x-api-key", &ours.key);
    let metrics = Answer::of(request.send().await.unwrap()).await;
    for expected in [
        r#"resnetd_client_requests_total{client="ours",status="200"} 2"#,
        r#"resnetd_client_requests_total{client="theirs",status="200"} 2"#,
    ] {
        assert!(metrics.text.contains(expected), "no {expected} in\n{}", metrics.text);
    }
}

#[tokio::test]
async fn grpc_calls_need_the_key_too_except_for_health() {
    let NewKey { key, line } = NewKey::make("caller").unwrap();
    let server = serve(KeyFile::with(&line).plan());
    let metadata = "/inference.GRPCInferenceService/ServerMetadata";
    let (status, message) = call(&server, metadata, None).await;
    assert_eq!(status, "16", "UNAUTHENTICATED: {message}");
    assert!(message.contains("API") && message.contains("key"), "{message}");
    assert_eq!(call(&server, metadata, Some("resnetd_0")).await.0, "16");
    // With success, the status follows the message.
    assert_eq!(call(&server, metadata, Some(&key)).await.0, "");
    assert_eq!(call(&server, "/grpc.health.v1.Health/Check", None).await.0, "");
}

#[tokio::test]
async fn the_file_is_reloaded_and_an_invalid_one_changes_nothing() {
    let (first, second) = (NewKey::make("first").unwrap(), NewKey::make("second").unwrap());
    let file = KeyFile::with(&first.line);
    let server = serve(file.plan());
    let status = async |key: &str| model(&server, &[("x-api-key", key)]).await.status;
    assert_eq!((status(&first.key).await, status(&second.key).await), (200, 401));
    file.write(&format!("{}\n{}", first.line, second.line));
    while status(&second.key).await != 200 {}
    assert_eq!(status(&first.key).await, 200);
    file.write("second:12");
    let path = file.path();
    // The valid file that follows shows that the invalid one was checked or skipped.
    assert_eq!((status(&first.key).await, status(&second.key).await), (200, 200));
    fs::remove_file(&path).unwrap();
    assert_eq!(status(&second.key).await, 200);
    file.write(&second.line);
    while status(&first.key).await != 401 {}
    assert_eq!(status(&second.key).await, 200);
}

#[tokio::test]
async fn metrics_can_be_open() {
    let file = KeyFile::with(&NewKey::make("a").unwrap().line);
    let server = serve(AccessPlan { open_metrics: OpenMetrics::On, ..file.plan() });
    assert_eq!(server.get("/metrics").await.status, 200);
    assert_eq!(server.get("/v1/model").await.status, 401);
}

#[tokio::test]
async fn the_openapi_document_describes_the_key_if_one_is_needed() {
    let file = KeyFile::with(&NewKey::make("a").unwrap().line);
    let document = serve(file.plan()).get("/openapi.json").await.json();
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let open = serve(AccessPlan::default()).get("/openapi.json").await.json();
    assert_eq!(open["components"]["securitySchemes"], Value::Null);
}

#[tokio::test]
async fn each_address_has_its_rate_limit_and_probes_have_none() {
    let rate = Some("2/h".parse().unwrap());
    let proxies = Proxies { networks: vec!["127.0.0.0/8".parse().unwrap()], ..Proxies::default() };
    let server = serve(AccessPlan { rate, proxies, ..AccessPlan::default() });
    let from = async |address: &str| model(&server, &[("x-forwarded-for", address)]).await;
    for _ in 0..2 {
        assert_eq!(from("192.0.2.1").await.status, 200);
    }
    let refused = from("192.0.2.1").await;
    assert_eq!((refused.status, refused.reason()), (429, "too-many-requests".to_owned()));
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=1800).contains(&seconds), "{refused:?}");
    assert_eq!(from("192.0.2.2").await.status, 200, "another address");
    // One subscriber has all addresses of a /64.
    assert_eq!(from("2001:db8::1").await.status, 200);
    assert_eq!(from("2001:db8::2").await.status, 200);
    assert_eq!(from("2001:db8::3").await.status, 429);
    for _ in 0..3 {
        assert_eq!(server.get("/livez").await.status, 200);
        assert_eq!(server.get("/").await.status, 200);
    }
    let (status, message) =
        call(&server, "/inference.GRPCInferenceService/ServerMetadata", None).await;
    assert_eq!(status, "", "{message}");
    call(&server, "/inference.GRPCInferenceService/ServerMetadata", None).await;
    let (status, _) = call(&server, "/inference.GRPCInferenceService/ServerMetadata", None).await;
    assert_eq!(status, "8", "RESOURCE_EXHAUSTED");
}

#[tokio::test]
async fn without_trusted_proxies_the_header_is_ignored() {
    let rate = Some("1/h".parse().unwrap());
    let server = serve(AccessPlan { rate, ..AccessPlan::default() });
    assert_eq!(model(&server, &[("x-forwarded-for", "192.0.2.1")]).await.status, 200);
    assert_eq!(model(&server, &[("x-forwarded-for", "192.0.2.2")]).await.status, 429);
}

#[tokio::test]
async fn a_key_can_have_its_own_rate_limit() {
    let (slow, fast) = (NewKey::make("slow").unwrap(), NewKey::make("fast").unwrap());
    let file = KeyFile::with(&format!("{} rate=1/h\n{} rate=1000", slow.line, fast.line));
    let server = serve(AccessPlan { rate: Some("2/h".parse().unwrap()), ..file.plan() });
    let status = async |key: &str| model(&server, &[("x-api-key", key)]).await.status;
    assert_eq!((status(&slow.key).await, status(&slow.key).await), (200, 429));
    for _ in 0..5 {
        assert_eq!(status(&fast.key).await, 200);
    }
}

#[tokio::test]
async fn the_limit_of_images_in_flight_applies_to_all_connections_of_a_client() {
    let gate = Gate::default();
    let key = NewKey::make("one").unwrap();
    let other = NewKey::make("other").unwrap();
    let file = KeyFile::with(&format!("{}\n{} images=1\n", key.line, other.line));
    let access = AccessPlan { max_client_images: Some(2), ..file.plan() };
    let engines = Some(vec![gate.engine()]);
    let server = TestServer::with(Options { engines, access, ..Options::default() });
    let send = |key: &str| {
        // A new client uses a new connection.
        let request = reqwest::Client::new().post(server.at("/classify"));
        let request = request.header("x-api-key", key).body(data("cifar10-cat.png"));
        tokio::spawn(async move { Answer::of(request.send().await.unwrap()).await })
    };
    let first = [send(&key.key), send(&key.key)];
    until("both are in flight", || server.model.pipeline.metrics().images_in_flight.get() == 2)
        .await;
    let refused = send(&key.key).await.unwrap();
    assert_eq!((refused.status, refused.reason()), (429, "client-limit".to_owned()));
    assert!(refused.headers.contains_key("retry-after"));
    let one_more = send(&other.key);
    until("another client's is inside", || {
        server.model.pipeline.metrics().images_in_flight.get() == 3
    })
    .await;
    assert_eq!(send(&other.key).await.unwrap().status, 429);
    gate.open();
    for answer in first.into_iter().chain([one_more]) {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    let metrics = server.server.metrics.encode();
    assert!(metrics.contains(r#"reason="client-limit",version="1"} 2"#), "{metrics}");
}

#[tokio::test]
async fn a_form_with_more_images_than_the_limit_is_answered_completely() {
    let access = AccessPlan { max_client_images: Some(1), ..AccessPlan::default() };
    let server = serve(access);
    let form = (0..6).fold(reqwest::multipart::Form::new(), |form, number| {
        let part = reqwest::multipart::Part::bytes(data("cifar10-cat.png"));
        form.part(format!("{number}"), part.file_name("cat.png"))
    });
    let request = server.client.post(server.at("/classify")).multipart(form);
    let answer = Answer::of(request.send().await.unwrap()).await.json();
    let results = answer["results"].as_array().unwrap();
    assert!(
        results.len() == 6 && results.iter().all(|one| one["predictions"].is_array()),
        "{answer}"
    );
}

#[test]
fn the_command_generates_a_key_and_a_server_without_valid_keys_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    for name in ["phone", "batch"] {
        let made = resnetd(&["api-key", name, "--append", &text(&path)]);
        assert!(made.status.success(), "{made:?}");
        let key = String::from_utf8(made.stdout).unwrap();
        assert!(key.starts_with("resnetd_") && key.trim_end().len() == 72, "{key}");
    }
    let lines = fs::read_to_string(&path).unwrap();
    assert_eq!(lines.lines().filter(|line| line.split(':').count() == 2).count(), 2, "{lines}");
    let both = String::from_utf8(resnetd(&["api-key", "phone"]).stdout).unwrap();
    assert!(both.contains("resnetd_") && both.contains("phone:"), "{both}");
    assert!(!resnetd(&["api-key", "a phone"]).status.success());

    crate::support::write(&path, "phone\n").unwrap();
    for path in [text(&path), "/none".to_owned()] {
        let started = resnetd(&["serve", "--api-keys", &path]);
        let words = String::from_utf8(started.stderr).unwrap();
        assert!(!started.status.success() && words.contains("--api-keys"), "{words}");
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_may_use_the_server_and_others_may_not() {
    let file = KeyFile::with(&NewKey::make("page").unwrap().line);
    let ours = "https://photos.example.org";
    let server = serve(AccessPlan { origins: vec![ours.parse().unwrap()], ..file.plan() });
    let preflight = async |origin: &str| {
        let request = server.client.request(reqwest::Method::OPTIONS, server.at("/classify"));
        let request = request.header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        let request = request.header("access-control-request-headers", "authorization");
        Answer::of(request.send().await.unwrap()).await
    };
    let allowed = preflight(ours).await;
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (200, ours));
    assert!(allowed.header("access-control-allow-headers").contains("authorization"));
    assert!(allowed.header("access-control-allow-methods").contains("POST"));
    let refused = preflight("https://evil.example").await;
    assert!(!refused.headers.contains_key("access-control-allow-origin"), "{refused:?}");
    // Scripts can read the problem, too.
    let problem = model(&server, &[("origin", ours)]).await;
    assert_eq!((problem.status, problem.header("access-control-allow-origin")), (401, ours));

    let silent = serve(AccessPlan::default());
    let answer = model(&silent, &[("origin", ours)]).await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"), "{answer:?}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn images_in_other_formats_are_rejected_with_the_format_name() {
    let mut options = Options::default();
    options.plan.limits.formats = Formats::of(&[Format::Png, Format::WebP]);
    let server = TestServer::with(options);
    assert_eq!(server.classify(data("cifar10-cat.png")).await.status, 200);
    let refused = server.classify(data("cat.jpg")).await;
    assert_eq!((refused.status, refused.reason()), (415, "unsupported-format".to_owned()));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("is jpeg") && detail.ends_with("png, webp"), "{detail}");
    let wrong = resnetd(&["serve", "--formats", "jpeg,heic"]);
    let words = String::from_utf8(wrong.stderr).unwrap();
    assert!(!wrong.status.success() && words.contains("heic"), "{words}");
}

#[tokio::test]
async fn compressed_grpc_messages_are_read_up_to_the_limit() {
    let mut options = Options::default();
    options.plan.limits.max_bytes = 100_000;
    let server = TestServer::with(options);
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let send = async |flag: u8, message: &[u8]| {
        let mut body = vec![flag];
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend(message);
        let path = "/inference.GRPCInferenceService/ModelMetadata";
        let request = client.post(server.at(path)).header("content-type", "application/grpc");
        let request = request.header("grpc-encoding", "gzip").body(body);
        let response = request.send().await.unwrap();
        let status =
            response.headers().get("grpc-status").map(|it| it.to_str().unwrap().to_owned());
        (status.unwrap_or_default(), response.bytes().await.unwrap())
    };
    let name = b"\x0a\x10cifar10-resnet56";
    for (flag, message) in [(1, gzip(name)), (0, name.to_vec())] {
        let (status, answer) = send(flag, &message).await;
        assert_eq!(status, "");
        assert!(answer.windows(16).any(|part| part == &name[2..]), "{answer:?}");
    }
    assert_eq!(send(1, &gzip(&vec![0; 1_000_000])).await.0, "8", "RESOURCE_EXHAUSTED");
    assert_eq!(send(1, name).await.0, "3", "INVALID_ARGUMENT");
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
