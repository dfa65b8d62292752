//! Errors: what was wrong, and what would be right.

use std::time::Duration;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use resnetd::http::problem::Kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Options, TestServer, data};

#[tokio::test]
async fn every_problem_has_its_message() {
    let mut options = Options::default();
    options.plan.limits.max_bytes = 100_000;
    options.plan.limits.max_pixels = 1_000_000;
    let server = TestServer::with(options);
    let half_a_jpeg = {
        let whole = data("cat.jpg");
        whole[..whole.len() / 2].to_vec()
    };
    for (name, answer) in [
        ("empty", server.classify("").await),
        ("html", server.classify("<!DOCTYPE html><p>hello").await),
        ("json", server.classify(r#"{"image": "aGVsbG8="}"#).await),
        ("truncated", server.classify(half_a_jpeg).await),
        ("pdf", server.classify("%PDF-1.7 and so on").await),
        ("too_many_bytes", server.classify(vec![0_u8; 100_001]).await),
        ("bomb", server.classify(data("bomb-50k.png")).await),
        ("top_k_0", server.post("/classify?top_k=0", data("cifar10-cat.png")).await),
        ("top_k_word", server.post("/classify?top_k=all", data("cifar10-cat.png")).await),
        ("unknown_parameter", server.post("/classify?topk=1", data("cifar10-cat.png")).await),
        ("not_found", server.post("/clasify", "").await),
        ("method", server.get("/classify").await),
    ] {
        assert_eq!(answer.header("content-type"), "application/problem+json", "{name}");
        let problem = answer.json();
        assert_eq!(problem["status"], answer.status, "{name}");
        assert_eq!(problem["error"], problem["detail"], "{name}");
        insta::assert_json_snapshot!(name, problem);
    }
}

#[tokio::test]
async fn a_form_that_cannot_be_read_is_a_422() {
    let server = TestServer::start();
    let send = |request: reqwest::RequestBuilder| async {
        Answer::of(request.send().await.unwrap()).await
    };
    let post = || server.client.post(server.at("/classify"));
    let empty = send(post().multipart(Form::new())).await;
    assert_eq!((empty.status, empty.reason()), (422, "invalid-parameter".to_owned()), "{empty:?}");
    let no_boundary = send(post().header("content-type", "multipart/form-data").body("x")).await;
    assert_eq!((no_boundary.status, no_boundary.reason()), (400, "not-an-image".to_owned()));
    let cut = "--b\r\ncontent-disposition: form-data; name=a; filename=a\r\n\r\nhalf";
    let cut =
        send(post().header("content-type", "multipart/form-data; boundary=b").body(cut)).await;
    assert_eq!((cut.status, cut.reason()), (422, "invalid-parameter".to_owned()));
}

#[tokio::test]
async fn a_form_with_too_many_files_is_a_422() {
    let server = TestServer::start();
    let part = || Part::bytes(Vec::new()).file_name("empty");
    let form = (0..257).fold(Form::new(), |form, _| form.part("a", part()));
    let request = server.client.post(server.at("/classify")).multipart(form);
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.text.contains("more than 256 files"), "{answer:?}");
}

#[tokio::test]
async fn a_form_whose_images_all_fail_has_the_highest_status() {
    let server = TestServer::start();
    let form = Form::new()
        .part("a", Part::bytes(b"x".to_vec()).file_name("a"))
        .part("b", Part::bytes(b"%PDF-1.7".to_vec()).file_name("b"));
    let request = server.client.post(server.at("/classify")).multipart(form);
    assert_eq!(Answer::of(request.send().await.unwrap()).await.status, 415);
}

#[tokio::test]
async fn a_body_without_an_end_stops_at_the_limit() {
    let mut options = Options::default();
    options.plan.limits.max_bytes = 100_000;
    let server = TestServer::with(options);
    let chunks =
        futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0xFF_u8; 10_000]));
    let body = reqwest::Body::wrap_stream(chunks);
    // The server may answer and close the connection while the client still writes.
    match server.client.post(server.at("/classify")).body(body).send().await {
        Ok(response) => assert_eq!(response.status(), 413),
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    assert_eq!(server.classify(data("cifar10-cat.png")).await.status, 200);
}

#[tokio::test]
async fn an_invalid_time_limit_is_a_422() {
    let server = TestServer::start();
    for value in ["soon", "0", "-1", "1.5"] {
        let request = server
            .client
            .post(server.at("/classify"))
            .header("x-request-timeout-ms", value)
            .body(data("cifar10-cat.png"));
        assert_eq!(request.send().await.unwrap().status(), 422, "{value}");
    }
}

#[tokio::test]
async fn a_count_or_limit_of_any_size_is_valid() {
    let server = TestServer::start();
    let huge = "9".repeat(30);
    let request = server
        .client
        .post(server.at(&format!("/classify?top_k={huge}&fallback=off")))
        .header("x-request-timeout-ms", &huge)
        .body(data("cifar10-cat.png"));
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.json()["predictions"].as_array().unwrap().len(), 10, "{answer:?}");
}

#[tokio::test]
async fn a_stalled_upload_is_a_408_and_stalled_headers_close_the_connection() {
    let mut options = Options::default();
    options.timeouts.body = Duration::from_millis(100);
    options.connections.times.header = Duration::from_millis(100);
    let server = TestServer::with(options);
    let address = server.url.trim_start_matches("http://").to_owned();
    let talk = |words: &'static str| {
        let address = address.clone();
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(words.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        }
    };
    let body = talk(
        "POST /classify HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhalf",
    );
    let body = body.await;
    assert!(body.starts_with("HTTP/1.1 408 "), "{body}");
    assert!(body.contains("body-timeout"), "{body}");
    for stalled in ["POST /classify HTTP/1.1\r\nhost:", "PRI * HTTP/2", ""] {
        let answer = talk(stalled).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_sends_everything_before_it_reads_gets_the_error() {
    let mut options = Options::default();
    options.plan.limits.max_bytes = 100_000;
    let server = TestServer::with(options);
    // More than the socket buffers can hold.
    let upload = vec![0; 64 << 20];
    for path in ["/classify", "/nowhere", "/livez"] {
        let mut stream =
            TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
        let length = upload.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&upload).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = match path {
            "/classify" => "413",
            "/nowhere" => "404",
            _ => "405",
        };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
}

#[tokio::test]
async fn other_methods_get_the_allowed_ones() {
    let server = TestServer::start();
    let request = server.client.request(Method::DELETE, server.at("/classify"));
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
}

#[test]
fn every_problem_is_in_the_documented_table() {
    let docs = include_str!("../../docs/errors.md");
    for kind in Kind::ALL {
        let (status, slug, _) = kind.row();
        let row = format!("| {} | `{slug}` |", status.as_u16());
        assert!(docs.contains(&row), "docs/errors.md lacks {row}");
    }
}
