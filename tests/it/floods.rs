//! Many connections, many requests on one connection, and many headers are limited, and other clients are
//! still served.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::engines::Gate;
use crate::support::wire::{PREFACE, connect, frame, frames, goaway, rest, talk};
use crate::support::{Answer, Options, TestServer, data, until};

const HEADERS: u8 = 1;
const END_HEADERS: u8 = 4;
/// `ENHANCE_YOUR_CALM`.
const CALM: Option<u32> = Some(11);

/// `POST /classify` in HPACK, authority x.
const POST: &[u8] = b"\x83\x86\x04\x09/classify\x01\x01x";

const LIVEZ: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";

fn http2() -> reqwest::Client {
    reqwest::Client::builder().http2_prior_knowledge().build().unwrap()
}

#[tokio::test]
async fn more_than_100_headers_get_431_and_more_than_256_close_the_connection() {
    let server = TestServer::start();
    for client in [&server.client, &http2()] {
        for (count, status) in [(50, 200), (150, 431)] {
            let request = (0..count).fold(client.get(server.at("/livez")), |request, number| {
                request.header(format!("x-{number}"), "a")
            });
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(answer.status, status, "{count}: {answer:?}");
        }
    }
    // The first request adds a header to the connection's table; each byte of the second one refers to it.
    let first = [POST, b"\x40\x01x\0"].concat();
    let second = [POST, &[0xBE; 300]].concat();
    let mut stream = connect(&server).await;
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, &first)).await.unwrap();
    until("it is in flight", || server.server.metrics.requests_in_flight.get() == 1).await;
    stream.write_all(&frame(HEADERS, END_HEADERS, 3, &second)).await.unwrap();
    assert_eq!(goaway(&rest(&mut stream).await), CALM);
    until("both have ended", || server.server.metrics.requests_in_flight.get() == 0).await;
}

#[tokio::test]
async fn open_http_2_requests_are_limited_over_all_connections() {
    let server = TestServer::start();
    let requests: Vec<u8> =
        (0..64).flat_map(|number| frame(HEADERS, END_HEADERS, 2 * number + 1, POST)).collect();
    let mut connections = Vec::new();
    for _ in 0..40 {
        let mut stream = connect(&server).await;
        stream.write_all(PREFACE).await.unwrap();
        let _ = stream.write_all(&requests).await;
        connections.push(stream);
    }
    let mut calmed = 0;
    for stream in &mut connections {
        let mut sent = Vec::new();
        let reading = stream.read_to_end(&mut sent);
        let ended = tokio::time::timeout(Duration::from_millis(200), reading).await.is_ok();
        calmed += usize::from(ended && goaway(&sent) == CALM);
        let open = server.server.metrics.requests_in_flight.get();
        assert!(open <= 2048 + 2 * 40, "{open} are open");
    }
    assert!((4..40).contains(&calmed), "{calmed} of 40 connections were closed");
    let request = http2().post(server.at("/classify")).body(data("cifar10-cat.png"));
    assert_eq!(
        request.send().await.unwrap().status(),
        200,
        "a connection may always have one request"
    );
}

#[tokio::test]
async fn unread_openapi_documents_do_not_count_under_the_memory_limit() {
    let server = TestServer::start();
    let mut stream = connect(&server).await;
    // An initial window of 0, then a GET of the document in HPACK.
    let settings = frame(4, 0, 0, b"\0\x04\0\0\0\0");
    let get = frame(HEADERS, END_HEADERS | 1, 1, b"\x82\x86\x04\x0d/openapi.json\x01\x01x");
    stream.write_all(&[&PREFACE[..24], &settings, &get].concat()).await.unwrap();
    let mut sent = Vec::new();
    let reading = stream.read_to_end(&mut sent);
    let _ = tokio::time::timeout(Duration::from_millis(500), reading).await;
    assert!(frames(&sent).iter().any(|(kind, _)| *kind == HEADERS), "it was answered: {sent:?}");
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0);
}

#[tokio::test]
async fn incomplete_http_2_headers_close_the_connection_after_the_header_timeout() {
    let mut options = Options::default();
    options.connections.times.header = Duration::from_millis(200);
    let server = TestServer::with(options);
    let mut stream = connect(&server).await;
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(HEADERS, 0, 1, POST)).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), rest(&mut stream)).await;
    assert_eq!(goaway(&ended.expect("it is ended")), Some(0));
}

/// A server with --max-connections 2, whose only worker waits at `gate`.
fn of_two(gate: &Gate) -> TestServer {
    let mut options = Options { engines: Some(vec![gate.engine()]), ..Options::default() };
    options.connections.max_connections = 2;
    TestServer::with(options)
}

#[tokio::test]
async fn the_longest_idle_connection_is_closed_for_a_new_one() {
    let gate = Gate::default();
    let server = of_two(&gate);
    let image = data("cifar10-cat.png");
    let head =
        format!("POST /classify HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", image.len());
    let mut busy = connect(&server).await;
    busy.write_all(head.as_bytes()).await.unwrap();
    busy.write_all(&image).await.unwrap();
    until("it is in flight", || server.model.pipeline.metrics().images_in_flight.get() == 1).await;
    let evicted = || server.server.metrics.evicted_connections.get();
    // No bytes, partial headers, an answered request, and an HTTP/2 client without a request.
    for words in [&b""[..], b"GET /livez HTT", LIVEZ, PREFACE] {
        let before = evicted();
        let mut idle = connect(&server).await;
        idle.write_all(words).await.unwrap();
        if words == LIVEZ {
            assert_eq!(idle.read_u8().await.unwrap(), b'H', "it was served");
        }
        let mut next = connect(&server).await;
        next.write_all(LIVEZ).await.unwrap();
        assert_eq!(next.read_u8().await.unwrap(), b'H', "it replaces the idle connection");
        let ended = tokio::time::timeout(Duration::from_secs(60), rest(&mut idle)).await;
        ended.expect("the idle connection is closed");
        assert!(evicted() > before, "it is counted");
    }
    gate.open();
    assert_eq!(busy.read_u8().await.unwrap(), b'H', "the request in flight is answered");
}

#[tokio::test]
async fn a_connection_above_the_limit_gets_a_503_if_every_connection_has_a_request() {
    let gate = Gate::default();
    let server = of_two(&gate);
    let image = data("cifar10-cat.png");
    let mut open = Vec::new();
    for count in 1..=2 {
        let head = format!(
            "POST /classify HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            image.len()
        );
        let mut stream = connect(&server).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&image).await.unwrap();
        until("it is in flight", || {
            server.model.pipeline.metrics().images_in_flight.get() == count
        })
        .await;
        open.push(stream);
    }
    let refused = talk(&server, LIVEZ).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(
        refused.contains("retry-after: 1") && refused.contains("too-many-connections"),
        "{refused}"
    );
    gate.open();
    let asking =
        async { while !talk(&server, b"GET /livez HTTP/1.0\r\n\r\n").await.contains(" 200 ") {} };
    tokio::time::timeout(Duration::from_secs(60), asking)
        .await
        .expect("a connection is accepted again");
}
