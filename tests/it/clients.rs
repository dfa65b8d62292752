//! Limits for single connections: clients that send too much, too little or nothing, or do not read.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use resnetd::http::AllowedHosts;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::support::engines::Gate;
use crate::support::wire::{PING, PREFACE, connect, frames, goaway, rest, talk};
use crate::support::{Answer, Options, TestServer, data, until};

const INFER: &str = "/v2/models/cifar10-resnet56/infer";

#[tokio::test]
async fn client_text_is_repeated_only_in_part() {
    let server = TestServer::start();
    let long = "\u{7f}".repeat(1_000_000);
    let name = |name: &str| json!({ "inputs": [{ "name": name, "datatype": "UINT8", "shape": [1], "data": [0] }] });
    let output = json!({ "inputs": [], "outputs": [{ "name": long }] });
    for (path, body) in [
        (INFER, name(&long)),
        (INFER, output),
        (INFER, json!({ "id": long, "inputs": [] })),
        (
            INFER,
            json!({ "inputs": [{ "name": "pixels", "datatype": long, "shape": [1], "data": [0] }] }),
        ),
        ("/", json!({ (long.clone()): 1 })),
        ("/", json!({ "inputs": long })),
        ("/", json!({ "inputs": "AA", "parameters": long })),
        ("/", json!({ "inputs": "AA", "parameters": { (long.clone()): 1 } })),
        ("/v1/models/cifar10-resnet56:predict", json!({ "instances": [{ (long.clone()): 1 }] })),
        ("/invocations", json!({ "inputs": { (long.clone()): 1 } })),
    ] {
        let answer = server.post(path, body.to_string()).await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        assert!(answer.text.len() < 8_000, "{path}: {} bytes", answer.text.len());
        let repeated = answer.text.matches("u{7f}").count() + answer.text.matches('\u{7f}').count();
        assert!(repeated <= 400, "{path}: {repeated} in detail and error");
    }
    let url = json!({ "url": format!("http://{}/", "a".repeat(1_000_000)) }).to_string();
    let request = server.client.post(server.at("/classify"));
    let request = request.header("content-type", "application/json").body(url);
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 422, "{}", answer.text.len());
    assert!(answer.text.len() < 8_000, "{} bytes", answer.text.len());
    let path = server.get(&format!("/{}", "a".repeat(20_000))).await;
    assert!(path.status == 404 && path.text.len() < 2_000, "{path:?}");
}

#[tokio::test]
async fn a_request_id_is_echoed_completely_or_replaced() {
    let server = TestServer::start();
    let request = |id: &str| {
        let pixels = vec![0; 32 * 32 * 3];
        json!({ "id": id, "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": pixels }] })
    };
    let short = "é".repeat(200);
    let answer = server.post(INFER, request(&short).to_string()).await;
    assert_eq!((answer.status, answer.json()["id"].as_str()), (200, Some(short.as_str())));
    assert_eq!(server.post(INFER, request(&"é".repeat(201)).to_string()).await.status, 422);
}

#[tokio::test]
async fn a_list_with_more_labels_than_classes_is_rejected_at_once() {
    let server = TestServer::start();
    let list = format!("/classify?labels={}", vec!["0"; 10_000].join(","));
    let answer = server.post(&list, data("cifar10-cat.png")).await;
    assert_eq!((answer.status, answer.reason()), (400, "bad-request".to_owned()), "{answer:?}");
    let classes = format!("/classify?explain=cam&{}", vec!["class=cat"; 33].join("&"));
    assert_eq!(server.post(&classes, data("cifar10-cat.png")).await.status, 422);
    let all = server.post("/classify?labels=CAT,%231,dog,9", data("cifar10-cat.png")).await;
    assert_eq!(all.json()["predictions"].as_array().unwrap().len(), 4, "{all:?}");
}

#[tokio::test]
async fn the_limit_for_headers_is_the_same_in_both_versions_and_answered_with_a_problem() {
    let server = TestServer::start();
    let http2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for client in [&server.client, &http2] {
        for (size, status) in [(20_000, 200), (33_000, 431)] {
            let request = client.get(server.at("/livez")).header("authorization", "a".repeat(size));
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(answer.status, status, "{size}: {answer:?}");
            if status == 431 {
                assert_eq!(answer.reason(), "headers-too-large", "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn data_that_is_not_http_is_answered_with_a_problem() {
    let server = TestServer::start();
    for words in [
        &b"\x16\x03\x01\x02\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"GET /livez\r\n\r\n",
        b"hello\r\n\r\n",
    ] {
        let answer = talk(&server, words).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
        assert!(answer.contains("\"reason\":\"bad-request\""), "{answer}");
    }
}

#[tokio::test]
async fn http_1_1_has_exactly_one_host() {
    let server = TestServer::start();
    for (hosts, status) in [("", "400"), ("host: a\r\nhost: a\r\n", "400"), ("host: a\r\n", "200")]
    {
        let words = format!("GET /livez HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        let answer = talk(&server, words.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{hosts}: {answer}");
    }
    let old = talk(&server, b"GET /livez HTTP/1.0\r\n\r\n").await;
    assert!(old.contains(" 200 "), "{old}");
}

#[tokio::test]
async fn a_server_on_a_loopback_address_rejects_other_host_names() {
    let named = ["photos.example".to_owned()];
    let hosts = AllowedHosts::new(&named, "127.0.0.1".parse().unwrap()).unwrap();
    let server = TestServer::with(Options { hosts, ..Options::default() });
    for (host, status) in
        [("evil.example", 421), ("localhost:1", 200), ("127.0.0.1", 200), ("photos.example", 200)]
    {
        let request = server.client.get(server.at("/livez")).header("host", host);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status, status, "{host}: {answer:?}");
    }
}

#[tokio::test]
async fn an_upload_is_answered_if_the_client_half_closes_the_connection() {
    let gate = Gate::default();
    let server =
        TestServer::with(Options { engines: Some(vec![gate.engine()]), ..Options::default() });
    let mut stream = connect(&server).await;
    let image = data("cifar10-cat.png");
    let head =
        format!("POST /classify HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", image.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&image).await.unwrap();
    stream.shutdown().await.unwrap();
    until("it is in flight", || server.model.pipeline.metrics().images_in_flight.get() == 1).await;
    gate.open();
    let answer = String::from_utf8_lossy(&rest(&mut stream).await).into_owned();
    assert!(answer.contains("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn a_disconnected_client_is_detected_although_half_closed_connections_are_answered() {
    let gate = Gate::default();
    let server =
        TestServer::with(Options { engines: Some(vec![gate.engine()]), ..Options::default() });
    let mut stream = connect(&server).await;
    let image = data("cifar10-cat.png");
    let head =
        format!("POST /classify HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", image.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&image).await.unwrap();
    until("it is in flight", || server.model.pipeline.metrics().images_in_flight.get() == 1).await;
    drop(stream);
    until("the disconnect is detected", || server.server.metrics.requests_in_flight.get() == 0)
        .await;
    gate.open();
}

#[tokio::test]
async fn the_connection_of_a_client_that_does_not_read_is_closed() {
    let mut options = Options::default();
    options.connections.times.write = Duration::from_millis(300);
    let server = TestServer::with(options);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = server.url.trim_start_matches("http://").parse().unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    // Responses that exceed the socket buffers.
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(500);
    let _ = stream.write_all(&request).await;
    // The server closes the connection when it could not send anything for 300 ms.
    let closed = async {
        while stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), closed).await.expect("it is closed");
}

#[tokio::test]
async fn the_connection_of_an_http_2_client_with_a_closed_window_is_closed() {
    let mut options = Options::default();
    options.connections.times.write = Duration::from_millis(300);
    let server = TestServer::with(options);
    let mut stream = connect(&server).await;
    // SETTINGS: an initial window of 0; HEADERS: GET / of a static table's entries, authority x.
    let mut words =
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0".to_vec();
    words.extend(b"\0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01x");
    stream.write_all(&words).await.unwrap();
    let sent = tokio::time::timeout(Duration::from_secs(60), rest(&mut stream)).await;
    let sent = sent.expect("it is closed");
    assert!(frames(&sent).iter().any(|(kind, _)| *kind == 1), "it was answered: {sent:?}");
}

#[tokio::test]
async fn a_flood_of_control_frames_ends_with_enhance_your_calm() {
    let server = TestServer::start();
    for flood in [PING, &PREFACE[24..]] {
        let mut stream = connect(&server).await;
        stream.write_all(PREFACE).await.unwrap();
        let (mut from, mut to) = stream.split();
        let sending = async {
            for _ in 0..2000 {
                if to.write_all(flood).await.is_err() {
                    return;
                }
            }
        };
        let mut sent = Vec::new();
        let ((), read) = tokio::join!(sending, from.read_to_end(&mut sent));
        assert!(read.is_ok(), "{read:?}");
        assert_eq!(goaway(&sent), Some(11), "{} bytes", sent.len());
    }
}

#[tokio::test]
async fn an_idle_http_2_connection_ends_with_goaway() {
    let mut options = Options::default();
    options.connections.times.header = Duration::from_millis(200);
    let server = TestServer::with(options);
    let mut stream = connect(&server).await;
    stream.write_all(PREFACE).await.unwrap();
    assert_eq!(goaway(&rest(&mut stream).await), Some(0));
}

#[tokio::test]
async fn a_stalled_upload_is_ended_and_its_memory_released() {
    let mut options = Options::default();
    options.timeouts.min_upload_rate = 1024;
    options.plan.limits.max_bytes = 1 << 20;
    options.memory_limit = 1 << 20;
    let server = TestServer::with(options);
    let mut stream = connect(&server).await;
    let head = b"POST /classify HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 900001\r\n\r\n";
    stream.write_all(head).await.unwrap();
    stream.write_all(&vec![0; 900_000]).await.unwrap();
    until("its memory is reserved", || server.server.metrics.admitted_bytes.get() >= 900_000).await;
    let answer = tokio::time::timeout(Duration::from_secs(60), rest(&mut stream)).await;
    let answer = String::from_utf8_lossy(&answer.expect("it is answered")).into_owned();
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("1024 bytes per second"),
        "{answer}"
    );
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0);
}

#[tokio::test]
async fn fields_of_a_form_are_parameters() {
    let server = TestServer::start();
    let post = |path: &str, field: Option<(&'static str, &'static str)>| {
        let file = Part::bytes(data("cifar10-cat.png")).file_name("cat.png");
        let form = Form::new().part("file", file);
        let form = match field {
            Some((name, value)) => form.text(name, value),
            None => form,
        };
        let request = server.client.post(server.at(path)).multipart(form);
        async { Answer::of(request.send().await.unwrap()).await }
    };
    let two = post("/classify", Some(("top_k", "2"))).await;
    assert_eq!(two.json()["predictions"].as_array().map(Vec::len), Some(2), "{two:?}");
    let flat = post("/predictions/cifar10-resnet56", Some(("top_k", "2"))).await;
    assert_eq!(flat.json().as_object().map(serde_json::Map::len), Some(2), "{flat:?}");
    let vector = post("/embed", Some(("normalize", "l2"))).await;
    assert_eq!(vector.status, 200, "{vector:?}");
    let unknown = post("/classify", Some(("topk", "2"))).await;
    assert_eq!((unknown.status, unknown.reason()), (400, "bad-request".to_owned()));
    assert!(unknown.text.contains("topk") && unknown.text.contains("top_k"), "{unknown:?}");
    let twice = post("/classify?top_k=1", Some(("top_k", "2"))).await;
    assert_eq!(twice.status, 422, "{twice:?}");
    let wrong = post("/classify", Some(("top_k", "none"))).await;
    assert_eq!(wrong.status, 422, "{wrong:?}");
}

#[tokio::test]
async fn a_form_without_a_boundary_is_read_as_raw_bytes() {
    let server = TestServer::start();
    let request = server.client.post(server.at("/classify"));
    let request = request.header("content-type", "multipart/form-data").body(data("cat.jpg"));
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn compressed_uploads_are_decompressed_up_to_the_limit() {
    let mut options = Options::default();
    options.plan.limits.max_bytes = 100_000;
    let server = TestServer::with(options);
    let post = |path: &str, encoding: &str, body: Vec<u8>| {
        let request = server.client.post(server.at(path)).header("content-encoding", encoding);
        let request = request.body(body);
        async { Answer::of(request.send().await.unwrap()).await }
    };
    let image = data("cifar10-cat.png");
    assert_eq!(post("/classify", "gzip", gzip(&image)).await.status, 200);
    assert_eq!(post("/classify", "deflate", zlib(&image)).await.status, 200);
    assert_eq!(post("/classify", "zstd", zstd::encode_all(&*image, 3).unwrap()).await.status, 200);
    assert_eq!(post("/classify", "br", brotli(&image)).await.status, 200);
    let bomb = post("/classify", "zstd", zstd::encode_all(&*vec![0; 1_000_000], 3).unwrap()).await;
    assert_eq!((bomb.status, bomb.reason()), (413, "too-many-bytes".to_owned()), "{bomb:?}");
    for encoding in ["zstd", "br", "deflate"] {
        let broken = post("/classify", encoding, image.clone()).await;
        assert_eq!((broken.status, broken.reason()), (400, "bad-request".to_owned()), "{broken:?}");
    }
    assert_eq!(post("/classify", "identity", image.clone()).await.status, 200);
    let bomb = post("/classify", "gzip", gzip(&vec![0; 1_000_000])).await;
    assert_eq!((bomb.status, bomb.reason()), (413, "too-many-bytes".to_owned()), "{bomb:?}");
    let unknown = post("/classify", "compress", image.clone()).await;
    assert_eq!((unknown.status, unknown.reason()), (415, "unsupported-encoding".to_owned()));
    assert_eq!(unknown.header("accept-encoding"), "gzip, deflate, zstd, br");
    let broken = post("/classify", "gzip", image).await;
    assert_eq!((broken.status, broken.reason()), (400, "bad-request".to_owned()), "{broken:?}");
    let pixels = vec![0; 32 * 32 * 3];
    let json = json!({ "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": pixels }] });
    assert_eq!(post(INFER, "gzip", gzip(json.to_string().as_bytes())).await.status, 200);
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0);
}

/// An uncompressed Brotli metablock (RFC 7932, section 9.2), with a window of 64 KiB.
fn brotli(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len() - 1).unwrap();
    assert!(length < 1 << 16);
    // WBITS 16 (1 bit: 0), not the last (0), four nibbles (00), the length, uncompressed (1).
    let head = length << 4 | 1 << 20;
    let mut whole = head.to_le_bytes()[..3].to_vec();
    whole.extend(bytes);
    whole.push(3); // the last metablock, empty
    whole
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn json_with_nulls_and_a_byte_order_mark_is_accepted() {
    let server = TestServer::start();
    let pixels = vec![0; 32 * 32 * 3];
    let body = json!({
        "id": null, "parameters": null, "outputs": null,
        "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": [1, 32, 32, 3], "data": pixels, "parameters": null }],
    });
    let answer = server.post(INFER, format!("\u{feff}{body}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["outputs"].as_array().map(Vec::len), Some(2), "{answer:?}");
    let body = json!({ "inputs": base64_of(&data("cifar10-cat.png")), "parameters": null });
    let answer = server.post("/", format!("\u{feff}{body}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

#[tokio::test]
async fn durations_are_labelled_by_status() {
    let server = TestServer::start();
    server.classify(data("cifar10-cat.png")).await;
    server.classify("not an image").await;
    let metrics = server.get("/metrics").await.text;
    for class in ["2xx", "4xx"] {
        let line = format!(
            "resnetd_http_request_duration_seconds_count{{method=\"POST\",route=\"/classify\",status=\"{class}\"}} 1"
        );
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
}
