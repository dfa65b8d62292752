//! Shutdown: the server becomes not ready, answers requests in flight, and exits with 0.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use resnetd::http::Listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::engines::Gate;
use crate::support::process::Process;
use crate::support::{Answer, Options, TestServer, data, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_loses_no_request_and_exits_with_0() {
    let mut server = Process::start(&["--drain-delay", "2s"]);
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (url, answered) = (format!("{}/classify", server.url), Arc::clone(&answered));
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                loop {
                    let sent = client.post(&url).body(data("cat.jpg")).send().await;
                    let answer = Answer::of(sent.expect("no request is lost")).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                    // The response indicates that the connection will be closed, so that the client uses
                    // another one.
                    if answer.headers.contains_key("connection") {
                        return;
                    }
                }
            })
        })
        .collect();
    until("requests are being answered", || answered.load(Ordering::Relaxed) > 50).await;
    server.signal("-TERM");
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn while_draining_the_server_is_not_ready_and_answers_queued_requests() {
    let gate = Gate::default();
    let mut options = Options { engines: Some(vec![gate.engine()]), ..Options::default() };
    options.drain.delay = Duration::from_secs(3600); // the test ends it by dropping the runtime
    let server = TestServer::with(options);
    server.server.phase.drain();
    let unready = server.get("/readyz").await;
    assert_eq!((unready.status, unready.reason()), (503, "not-ready".to_owned()));
    assert_eq!(unready.header("connection"), "close", "clients must reconnect");

    let request = server.client.post(server.at("/classify")).body(data("cifar10-cat.png"));
    let queued = tokio::spawn(async move { request.send().await.unwrap().status() });
    until("it is in flight", || server.model.pipeline.metrics().images_in_flight.get() == 1).await;
    gate.open();
    assert_eq!(queued.await.unwrap(), 200, "new requests are still served");
}

#[tokio::test]
async fn queued_images_are_answered_before_the_end() {
    let gate = Gate::default();
    let mut options = Options { engines: Some(vec![gate.engine()]), ..Options::default() };
    options.plan.batch.max_batch = 1;
    let server = TestServer::with(options);
    let queued: Vec<_> = (0..10)
        .map(|_| {
            let request = server.client.post(server.at("/classify")).body(data("cifar10-cat.png"));
            tokio::spawn(async move { request.send().await.unwrap().status() })
        })
        .collect();
    until("all are in flight", || server.model.pipeline.metrics().images_in_flight.get() == 10)
        .await;
    let (ended, ()) = tokio::join!(server.stop(), async { gate.open() });
    assert!(ended);
    for status in queued {
        assert_eq!(status.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn queued_images_are_answered_after_the_drain_timeout() {
    let gate = Gate::default();
    let mut options = Options { engines: Some(vec![gate.engine()]), ..Options::default() };
    options.plan.batch.max_batch = 1;
    options.drain.timeout = Duration::from_millis(200);
    let server = TestServer::with(options);
    let send = || {
        let request = server.client.post(server.at("/classify")).body(data("cifar10-cat.png"));
        tokio::spawn(async move { request.send().await.ok().map(|answer| answer.status()) })
    };
    let running = send();
    until("one is running", || {
        server.model.pipeline.metrics().images_in_flight.get() == 1
            && server.model.pipeline.metrics().queue_depth.get() == 0
    })
    .await;
    let queued = send();
    until("one is queued", || server.model.pipeline.metrics().queue_depth.get() == 1).await;
    assert!(!server.stop().await, "not every request was answered in time");
    assert_eq!(queued.await.unwrap().map(|status| status.as_u16()), Some(503));
    gate.open();
    running.abort();
}

#[tokio::test]
async fn an_upload_that_is_cut_off_at_shutdown_is_logged_as_such() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let arguments = ["--drain-delay", "0s", "--drain-timeout", "100ms"];
    let mut server = Process::start_logging(log.reopen().unwrap(), "info", &arguments);
    let mut upload = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let head = "POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    upload.write_all(head.as_bytes()).await.unwrap();
    // The server sends it when it reads the body.
    let mut interim = [0; 12];
    upload.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100");
    server.signal("-TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(1));
    let lines = std::fs::read_to_string(log.path()).unwrap();
    assert!(lines.contains("cut off without an answer"), "{lines}");
    assert!(!lines.contains("client disconnected"), "{lines}");
}

#[tokio::test]
async fn connections_are_refused_before_the_model_is_loaded() {
    let plan = Options::default().connections;
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), plan).unwrap();
    let address = listener.address().unwrap();
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let _server = listener.listen(Arc::default()).unwrap();
    TcpStream::connect(address).await.unwrap();
}

#[test]
fn a_second_signal_exits_at_once() {
    let mut server = Process::start(&["--drain-delay", "1h"]);
    server.signal("-TERM");
    // The first signal must be received before the second one is sent.
    while ready(&server.url) {
        std::thread::sleep(Duration::from_millis(5));
    }
    server.signal("-TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(1));
}

fn ready(url: &str) -> bool {
    let address = url.trim_start_matches("http://");
    Command::new(env!("CARGO_BIN_EXE_resnetd"))
        .args(["healthcheck", "--listen", address])
        .output()
        .unwrap()
        .status
        .success()
}
