//! Images by URL: which URLs are fetched, and which are not.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt;
use resnetd::fetch::{FetchPlan, UrlPolicy};
use resnetd::http::Timeouts;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Answer, Options, TestServer, data, resnetd, until};

/// A host of images, with various faults.
struct Host {
    address: SocketAddr,
    state: Arc<HostState>,
}

/// Requests to it.
#[derive(Default)]
struct HostState {
    requests: AtomicUsize,
    headers: Mutex<HeaderMap>,
    /// Target of the redirect of `/to/{name}`.
    redirects: Mutex<HashMap<&'static str, String>>,
    /// Stalled responses, and those of them whose connection was closed.
    stalled: AtomicUsize,
    dropped: AtomicUsize,
}

impl Host {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(HostState::default());
        let routes = Router::new()
            .route("/cat.jpg", get(async || data("cat.jpg")))
            .route("/chunked", get(async || chunked(stream_of(&data("cat.jpg")))))
            .route("/page", get(async || axum::response::Html("<!DOCTYPE html><p>hello")))
            .route("/endless", get(async || chunked(futures_util::stream::repeat(vec![0; 10_000]))))
            .route("/large", get(async || vec![0_u8; 200_001]))
            .route("/loop", get(async || (StatusCode::FOUND, [(header::LOCATION, "/loop")])))
            .route("/nowhere", get(async || StatusCode::MOVED_PERMANENTLY))
            .route("/hops/{left}", get(hops))
            .route("/to/{name}", get(redirect))
            .route("/stalled", get(stalled))
            .fallback(async || StatusCode::NOT_FOUND)
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&state), note))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, state }
    }

    fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }

    fn redirects(&self, name: &'static str, to: impl Into<String>) {
        self.state.redirects.lock().unwrap().insert(name, to.into());
    }
}

async fn note(
    State(state): State<Arc<HostState>>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    state.requests.fetch_add(1, Ordering::Relaxed);
    *state.headers.lock().unwrap() = request.headers().clone();
    next.run(request).await
}

fn stream_of(bytes: &[u8]) -> impl futures_util::Stream<Item = Vec<u8>> + Send + use<> {
    let chunks: Vec<Vec<u8>> = bytes.chunks(1000).map(<[u8]>::to_vec).collect();
    futures_util::stream::iter(chunks)
}

fn chunked(chunks: impl futures_util::Stream<Item = Vec<u8>> + Send + 'static) -> Response {
    Body::from_stream(chunks.map(Ok::<_, std::io::Error>)).into_response()
}

async fn hops(Path(left): Path<usize>) -> Response {
    let to = if left == 0 { "/cat.jpg".to_owned() } else { format!("/hops/{}", left - 1) };
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response()
}

async fn redirect(State(state): State<Arc<HostState>>, Path(name): Path<String>) -> Response {
    let to = state.redirects.lock().unwrap()[name.as_str()].clone();
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

/// The beginning of an image, and then nothing until the client closes the connection.
async fn stalled(State(state): State<Arc<HostState>>) -> Response {
    struct Gone(Arc<HostState>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
    state.stalled.fetch_add(1, Ordering::Relaxed);
    let gone = Gone(state);
    let first = futures_util::stream::iter([data("cat.jpg")[..1000].to_vec()]);
    let never = futures_util::stream::once(async move {
        let _gone = gone;
        std::future::pending().await
    });
    chunked(first.chain(never))
}

/// A host that sends fewer bytes than it announces.
async fn cutting_host() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let read = stream.read(&mut request).await.unwrap();
        assert!(request[..read].ends_with(b"\r\n\r\n"));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\nhalf").await.unwrap();
        stream.shutdown().await.unwrap();
    });
    address
}

fn plan(timeout: Duration) -> FetchPlan {
    FetchPlan { timeout, at_once: 4 }
}

fn policy(hosts: &[String], private: &[&str]) -> UrlPolicy {
    UrlPolicy {
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        private: private.iter().map(|network| network.parse().unwrap()).collect(),
    }
}

/// A server that may fetch from `host`, whose address is not public.
fn server_for(host: &Host) -> TestServer {
    let hosts = [host.address.to_string(), format!("localhost:{}", host.address.port())];
    let mut options = Options {
        urls: Some((policy(&hosts, &["127.0.0.1/32"]), plan(Duration::from_secs(30)))),
        ..Options::default()
    };
    options.plan.limits.max_bytes = 200_000;
    TestServer::with(options)
}

async fn post(server: &TestServer, path: &str, body: Value) -> Answer {
    let request = server.client.post(server.at(path)).header("content-type", "application/json");
    Answer::of(request.body(body.to_string()).send().await.unwrap()).await
}

async fn classify(server: &TestServer, url: &str) -> Answer {
    post(server, "/classify", json!({ "url": url })).await
}

#[tokio::test]
async fn an_image_by_url_is_answered_like_its_bytes() {
    let host = Host::start().await;
    let server = server_for(&host);
    let alone = server.classify(data("cat.jpg")).await.json();
    for path in ["/cat.jpg", "/chunked", "/cat.jpg?token=1#part", "/hops/2"] {
        let answer = classify(&server, &host.at(path)).await;
        assert_eq!((answer.status, answer.json()), (200, alone.clone()), "{path}");
    }
    let by_name = format!("http://LOCALHOST:{}/cat.jpg", host.address.port());
    assert_eq!(classify(&server, &by_name).await.json(), alone);
    let headers = host.state.headers.lock().unwrap().clone();
    assert!(headers[header::USER_AGENT].to_str().unwrap().starts_with("resnetd/"));
    assert_eq!(headers[header::HOST], format!("localhost:{}", host.address.port()));
    assert!(!headers.contains_key(header::REFERER) && !headers.contains_key(header::COOKIE));

    let embedded = post(&server, "/embed", json!({ "url": host.at("/cat.jpg") })).await.json();
    assert_eq!(embedded, server.post("/embed", data("cat.jpg")).await.json());
    let instances = json!({ "instances": [host.at("/cat.jpg"), { "url": host.at("/chunked") }] });
    let both = post(&server, "/invocations", instances).await.json();
    assert_eq!(both["predictions"][0], both["predictions"][1]);
    assert_eq!(both["predictions"][0][0]["label"], "cat");
    let inputs = post(&server, "/", json!({ "inputs": host.at("/cat.jpg") })).await.json();
    assert_eq!(inputs, both["predictions"][0]);
    until("memory is released", || server.server.metrics.admitted_bytes.get() == 0).await;
    assert!(server.get("/metrics").await.text.contains("resnetd_fetch_seconds_count 9"));
}

#[tokio::test]
async fn no_url_is_fetched_without_allowed_hosts() {
    let host = Host::start().await;
    let server = TestServer::start();
    let mut answers = Vec::new();
    for (path, body) in [
        ("/classify", json!({ "url": host.at("/cat.jpg") })),
        ("/invocations", json!({ "url": host.at("/cat.jpg") })),
        ("/", json!({ "inputs": host.at("/cat.jpg") })),
        ("/invocations", json!({ "instances": [host.at("/cat.jpg")] })),
    ] {
        let answer = post(&server, path, body).await;
        assert_eq!((answer.status, &*answer.reason()), (403, "url-not-allowed"), "{path}");
        answers.push(answer.json()["detail"].as_str().unwrap().to_owned());
    }
    answers.dedup();
    assert_eq!(answers, ["this server does not fetch images by URL; send the image's bytes"]);
    assert_eq!(host.requests(), 0);
}

#[tokio::test]
async fn simple_cross_origin_requests_do_not_fetch() {
    let host = Host::start().await;
    let server = server_for(&host);
    let body = json!({ "url": host.at("/cat.jpg") }).to_string();
    let answer = server.classify(body).await;
    assert_eq!((answer.status, &*answer.reason()), (400, "not-an-image"));
    let body = json!({ "inputs": host.at("/cat.jpg") }).to_string();
    let answer = server.post("/", body).await;
    assert_eq!((answer.status, &*answer.reason()), (422, "invalid-parameter"));
    assert!(answer.text.contains("with Content-Type application/json"), "{answer:?}");
    assert_eq!(host.requests(), 0);
    let request = server.client.post(server.at("/classify"));
    let image = request.header("content-type", "application/json").body(data("cat.jpg"));
    assert_eq!(
        image.send().await.unwrap().status(),
        200,
        "the content type of an image is ignored"
    );
}

#[tokio::test]
async fn hosts_off_the_allow_list_are_blocked_in_every_spelling() {
    let host = Host::start().await;
    let server = server_for(&host);
    let port = host.address.port();
    let mut answers = Vec::new();
    for url in [
        format!("http://example.org:{port}/cat.jpg"),
        format!("http://127.0.0.1:{port}@example.org/cat.jpg"),
        format!("http://user:word@127.0.0.1:{port}/cat.jpg"),
        format!("http://example.org\\@127.0.0.1:{port}/cat.jpg"),
        format!("http://127.0.0.1.example.org:{port}/cat.jpg"),
        format!("http://[::1]:{port}/cat.jpg"),
        format!("http://[::ffff:127.0.0.1]:{port}/cat.jpg"),
        format!("http://127.0.0.2:{port}/cat.jpg"),
        "http://0/cat.jpg".to_owned(),
        "http://127.0.0.1/cat.jpg".to_owned(),
        "http://2852039166/latest/meta-data".to_owned(),
        format!("ftp://127.0.0.1:{port}/cat.jpg"),
        "file:///etc/passwd".to_owned(),
    ] {
        let answer = classify(&server, &url).await;
        assert_eq!((answer.status, &*answer.reason()), (403, "url-not-allowed"), "{url}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        answers.push(format!("{url}\n    {detail}").replace(&format!(":{port}"), ":PORT"));
    }
    for url in ["", "cat.jpg", "http://", "http://[::1", "http://a b/", "http://127.0.0.1:99999/"] {
        let answer = classify(&server, url).await;
        assert_eq!((answer.status, &*answer.reason()), (422, "invalid-parameter"), "{url}");
        answers.push(format!("{url}\n    {}", answer.json()["detail"].as_str().unwrap()));
    }
    insta::assert_snapshot!("not_allowed", answers.join("\n"));
    assert_eq!(host.requests(), 0);
    // Decimal, octal and hexadecimal forms of the allowed address.
    for same in ["2130706433", "0177.0.0.1", "0x7f.1"] {
        let answer = classify(&server, &format!("http://{same}:{port}/cat.jpg")).await;
        assert_eq!(answer.status, 200, "{same}: {answer:?}");
    }
}

#[tokio::test]
async fn an_allowed_host_with_a_private_address_is_blocked() {
    let host = Host::start().await;
    let port = host.address.port();
    let hosts = [format!("localhost:{port}"), host.address.to_string()];
    let urls = Some((policy(&hosts, &[]), plan(Duration::from_secs(30))));
    let server = TestServer::with(Options { urls, ..Options::default() });
    for name in ["localhost", "127.0.0.1", "2130706433"] {
        let answer = classify(&server, &format!("http://{name}:{port}/cat.jpg")).await;
        assert_eq!((answer.status, &*answer.reason()), (403, "url-not-allowed"), "{answer:?}");
        assert!(answer.text.contains("has no public address"), "{answer:?}");
    }
    assert_eq!(host.requests(), 0);
}

#[tokio::test]
async fn every_redirect_is_checked() {
    let host = Host::start().await;
    let other = Host::start().await;
    let port = host.address.port();
    // Another loopback address is allowed as a host, but not as a network.
    let hosts = [host.address.to_string(), format!("127.0.0.2:{port}")];
    let urls = Some((policy(&hosts, &["127.0.0.1/32"]), plan(Duration::from_secs(30))));
    let server = TestServer::with(Options { urls, ..Options::default() });
    host.redirects("private", format!("http://127.0.0.2:{port}/cat.jpg"));
    host.redirects("metadata", "http://169.254.169.254/latest/meta-data");
    host.redirects("elsewhere", other.at("/cat.jpg"));
    host.redirects("file", "file:///etc/passwd");
    host.redirects("secret", format!("http://user:word@{}/cat.jpg", host.address));
    host.redirects("missing", "/nothing?secret=1");
    host.redirects("nonsense", "http://[");
    let mut answers = Vec::new();
    for (path, status) in [
        ("/to/private", 403),
        ("/to/metadata", 403),
        ("/to/elsewhere", 403),
        ("/to/file", 403),
        ("/to/secret", 403),
        ("/to/missing", 424),
        ("/to/nonsense", 424),
        ("/nowhere", 424),
        ("/loop", 424),
        ("/hops/3", 424),
    ] {
        let answer = classify(&server, &host.at(path)).await;
        let expected = if status == 403 { "url-not-allowed" } else { "url-failed" };
        assert_eq!((answer.status, &*answer.reason()), (status, expected), "{path}: {answer:?}");
        answers.push(format!("{path}\n    {}", answer.json()["detail"].as_str().unwrap()));
    }
    let answers = answers.join("\n").replace(&port.to_string(), "PORT");
    insta::assert_snapshot!(
        "redirects",
        answers.replace(&other.address.port().to_string(), "OTHER")
    );
    assert_eq!(other.requests(), 0);
    let before = host.requests();
    classify(&server, &host.at("/loop")).await;
    assert_eq!(host.requests() - before, 4, "the URL and three redirects");
}

#[tokio::test]
async fn fetched_bytes_are_checked_like_uploads() {
    let host = Host::start().await;
    let server = server_for(&host);
    for (path, status, reason, words) in [
        ("/page", 400, "not-an-image", "not an image"),
        ("/large", 413, "too-many-bytes", "has more than 200000 bytes"),
        ("/endless", 413, "too-many-bytes", "has more than 200000 bytes"),
        ("/nothing", 424, "url-failed", "answers with status 404"),
    ] {
        let answer = classify(&server, &host.at(path)).await;
        assert_eq!((answer.status, &*answer.reason()), (status, reason), "{path}: {answer:?}");
        assert!(answer.text.contains(words), "{answer:?}");
    }
    let invalid = classify(&server, "https://host:99999/a.jpg?secret=1").await;
    assert_eq!((invalid.status, &*invalid.reason()), (422, "invalid-parameter"), "{invalid:?}");
    assert!(!invalid.text.contains("secret"), "the query is not repeated: {invalid:?}");
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let cutting = cutting_host().await;
    let urls = policy(&[closed.to_string(), cutting.to_string()], &["127.0.0.1/32"]);
    let urls = Some((urls, plan(Duration::from_secs(30))));
    let other = TestServer::with(Options { urls, ..Options::default() });
    for url in [format!("http://{closed}/"), format!("https://{closed}/")] {
        let answer = classify(&other, &url).await;
        assert_eq!((answer.status, &*answer.reason()), (424, "url-failed"), "{answer:?}");
        assert!(answer.text.contains("cannot be reached"), "{answer:?}");
    }
    let answer = classify(&other, &format!("http://{cutting}/")).await;
    assert_eq!((answer.status, &*answer.reason()), (424, "url-failed"), "{answer:?}");
    assert!(answer.text.contains("was interrupted"), "{answer:?}");
    until("memory is released", || server.server.metrics.admitted_bytes.get() == 0).await;
}

#[tokio::test]
async fn https_requires_a_valid_certificate() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let greeted = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 3];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        hello
    });
    let urls = policy(&[address.to_string()], &["127.0.0.0/8"]);
    let urls = Some((urls, plan(Duration::from_secs(30))));
    let server = TestServer::with(Options { urls, ..Options::default() });
    let answer = classify(&server, &format!("https://{address}/cat.jpg")).await;
    assert_eq!((answer.status, &*answer.reason()), (424, "url-failed"), "{answer:?}");
    assert_eq!(greeted.await.unwrap()[..2], [22, 3], "a TLS handshake");
}

/// The time limit in a `url-timeout` problem.
fn named_limit(problem: &str) -> Option<Duration> {
    let (_, rest) = problem.split_once("was not fetched within ")?;
    let (limit, _) = rest.split_once("ms;")?;
    Some(Duration::from_millis(limit.parse().ok()?))
}

#[tokio::test]
async fn a_slow_host_does_not_delay_other_requests() {
    let host = Host::start().await;
    let hosts = [host.address.to_string()];
    let start = |timeout, request| {
        let urls = Some((policy(&hosts, &["127.0.0.1/32"]), plan(timeout)));
        let long = Duration::from_secs(60);
        let timeouts = Timeouts { request, body: long, min_upload_rate: 0 };
        TestServer::with(Options { timeouts, urls, ..Options::default() })
    };
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(60));
    for server in [start(short, long), start(long, short)] {
        // Twice the maximum number of concurrent fetches: waiting for a permit counts as time.
        let url = host.at("/stalled?secret=1");
        let slow = (0..8).map(|_| classify(&server, &url));
        for answer in futures_util::future::join_all(slow).await {
            assert_eq!((answer.status, &*answer.reason()), (424, "url-timeout"), "{answer:?}");
            // The request's remaining time, or --url-timeout: 200 ms or slightly less.
            assert!(named_limit(&answer.text).is_some_and(|limit| limit <= short), "{answer:?}");
            assert!(!answer.text.contains("secret"), "{answer:?}");
        }
        until("memory is released", || server.server.metrics.admitted_bytes.get() == 0).await;
    }
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    until("the connections to the host are closed", || {
        count(&host.state.dropped) == count(&host.state.stalled)
    })
    .await;
}

#[tokio::test]
async fn fetched_bytes_count_under_the_memory_limit() {
    let host = Host::start().await;
    let hosts = [host.address.to_string()];
    let urls = Some((policy(&hosts, &["127.0.0.1/32"]), plan(Duration::from_secs(30))));
    let mut options = Options { urls, ..Options::default() };
    options.memory_limit = 150_000;
    let server = TestServer::with(options);
    for path in ["/large", "/endless"] {
        let answer = classify(&server, &host.at(path)).await;
        assert_eq!((answer.status, &*answer.reason()), (503, "memory-limit"), "{path}");
        assert!(answer.headers.contains_key("retry-after"));
    }
    until("memory is released", || server.server.metrics.admitted_bytes.get() == 0).await;
    assert!(server.get("/metrics").await.text.contains(r#"reason="memory-limit",version="1"} 2"#));
}

#[test]
fn invalid_hosts_are_errors_at_start() {
    for (arguments, words) in [
        (&["--allow-url-hosts", "https://example.org/"][..], "it must be a host such as"),
        (&["--allow-url-hosts", "a.example,*"], "it must be a host such as"),
        (&["--allow-url-hosts", "a.example", "--allow-url-private", "10.0.0.0/99"], "invalid"),
        (&["--allow-url-private", "10.0.0.0/8"], "has no effect without --allow-url-hosts"),
        (&["--url-timeout", "0s"], "--url-timeout is 0"),
    ] {
        let output = resnetd(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && message.contains(words), "{message}");
    }
}
