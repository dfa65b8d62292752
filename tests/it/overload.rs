//! Admission control, deadlines and disconnected clients.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::Duration;

use image::{ImageFormat, RgbImage};
use reqwest::multipart::{Form, Part};
use resnetd::pipeline::Decoding;
use resnetd::pipeline::decode;
use resnetd::pipeline::preprocess::JpegScaling;
use resnetd::telemetry::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::engines::{Gate, panicking_until};
use crate::support::{Answer, Options, TestServer, data, until};

/// A server whose only worker waits at `gate`, with a capacity of four images.
fn gated(gate: &Gate) -> TestServer {
    let mut options = Options { engines: Some(vec![gate.engine()]), ..Options::default() };
    options.plan.queue_capacity = 4;
    options.plan.batch.max_batch = 1;
    TestServer::with(options)
}

fn send(server: &TestServer) -> tokio::task::JoinHandle<Answer> {
    let request = server.client.post(server.at("/classify")).body(data("cifar10-cat.png"));
    tokio::spawn(async move { Answer::of(request.send().await.unwrap()).await })
}

#[tokio::test]
async fn a_full_queue_answers_503_at_once_with_a_reason_and_retry_after() {
    let gate = Gate::default();
    let server = gated(&gate);
    let inside: Vec<_> = (0..4).map(|_| send(&server)).collect();
    until("four images are in flight", || {
        server.model.pipeline.metrics().images_in_flight.get() == 4
    })
    .await;

    let refused = server.classify(data("cifar10-cat.png")).await;
    assert_eq!((refused.status, refused.reason()), (503, "queue-full".to_owned()));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(server.model.pipeline.metrics().rejected_count(Reason::QueueFull), 1);

    gate.open();
    for answer in inside {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    assert_eq!(server.classify(data("cifar10-cat.png")).await.status, 200, "the server recovers");
}

#[tokio::test]
async fn a_full_queue_is_reported_before_the_upload() {
    let gate = Gate::default();
    let server = gated(&gate);
    let inside: Vec<_> = (0..4).map(|_| send(&server)).collect();
    until("four images are in flight", || {
        server.model.pipeline.metrics().images_in_flight.get() == 4
    })
    .await;

    // A megabyte is announced but not sent, and the answer arrives.
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let head = "POST /classify HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
    assert_eq!(server.model.pipeline.metrics().rejected_count(Reason::QueueFull), 1);

    gate.open();
    for answer in inside {
        assert_eq!(answer.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn under_overload_every_request_is_answered_with_200_or_503() {
    let gate = Gate::default();
    let server = gated(&gate);
    let requests: Vec<_> = (0..64).map(|_| send(&server)).collect();
    until("60 are refused", || {
        server.model.pipeline.metrics().rejected_count(Reason::QueueFull) == 60
    })
    .await;
    gate.open();
    let mut statuses = BTreeMap::new();
    for request in requests {
        *statuses.entry(request.await.unwrap().status).or_insert(0) += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(200, 4), (503, 60)]));
    assert!(server.stop().await);
}

#[tokio::test]
async fn a_deadline_that_passes_in_the_queue_is_a_503_and_the_image_is_not_run() {
    let gate = Gate::default();
    let server = gated(&gate);
    let first = send(&server);
    until("the worker has one", || server.model.pipeline.metrics().images_in_flight.get() == 1)
        .await;
    let request = server
        .client
        .post(server.at("/classify"))
        .header("x-request-timeout-ms", "50")
        .body(data("cifar10-cat.png"));
    let late = Answer::of(request.send().await.unwrap()).await;
    assert_eq!((late.status, late.reason()), (503, "deadline".to_owned()));
    assert_eq!(server.model.pipeline.metrics().rejected_count(Reason::Deadline), 1);
    until("its permit is released", || server.model.pipeline.metrics().images_in_flight.get() == 1)
        .await;
    gate.open();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(
        server.model.pipeline.metrics().batch_size.get_sample_count(),
        1,
        "only the first image was run"
    );
}

#[tokio::test]
async fn a_limit_that_is_too_short_for_the_image_alone_is_a_503_with_the_shortest_one() {
    let server = TestServer::start();
    let mut photo = Cursor::new(Vec::new());
    RgbImage::new(6000, 4000).write_to(&mut photo, ImageFormat::Png).unwrap();
    let photo = photo.into_inner();
    let limited = async |milliseconds: u64| {
        let request = server
            .client
            .post(server.at("/classify"))
            .header("x-request-timeout-ms", milliseconds)
            .body(photo.clone());
        Answer::of(request.send().await.unwrap()).await
    };
    let refused = limited(50).await;
    assert_eq!((refused.status, refused.reason()), (503, "deadline".to_owned()), "{refused:?}");
    let minimum = refused.json()["minimum_timeout_ms"].as_u64().unwrap();
    assert!(refused.json()["detail"].as_str().unwrap().contains("this image alone"), "{refused:?}");
    assert!((51..10_000).contains(&minimum), "{minimum}");
    let again = limited(minimum / 2 - 2).await;
    assert_eq!(
        again.json()["minimum_timeout_ms"],
        minimum,
        "a shorter limit does not help: {again:?}"
    );
    let enough = limited(100 * minimum).await;
    assert_eq!(enough.status, 200, "{enough:?}");
}

#[tokio::test]
async fn a_disconnected_clients_image_leaves_the_queue() {
    let gate = Gate::default();
    let server = gated(&gate);
    let first = send(&server);
    until("the worker has one", || {
        server.model.pipeline.metrics().images_in_flight.get() == 1
            && server.model.pipeline.metrics().queue_depth.get() == 0
    })
    .await;
    let leaving = send(&server);
    until("the second is queued", || server.model.pipeline.metrics().queue_depth.get() == 1).await;
    leaving.abort();
    until("it was removed", || server.model.pipeline.metrics().queue_depth.get() == 0).await;
    until("it is counted", || server.model.pipeline.metrics().abandoned.get() == 1).await;
    gate.open();
    assert_eq!(first.await.unwrap().status, 200);
}

#[tokio::test]
async fn the_memory_limit_counts_pixels_before_decoding() {
    // The upload fits, but its pixels do not.
    let mut options = Options { memory_limit: 400_000, ..Options::default() };
    options.plan.jpeg_scaling = JpegScaling::Off;
    let server = TestServer::with(options);
    let refused = server.classify(data("cat.jpg")).await;
    assert_eq!((refused.status, refused.reason()), (503, "memory-limit".to_owned()));
    assert_eq!(
        server.model.pipeline.metrics().decode_seconds.get_sample_count(),
        0,
        "nothing was decoded"
    );
    assert_eq!(server.classify(data("cifar10-cat.png")).await.status, 200);
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0, "all memory is released");
}

#[tokio::test]
async fn uploads_reserve_received_bytes_not_announced_ones() {
    let options = Options { memory_limit: 400_000, ..Options::default() };
    let server = TestServer::with(options);
    let mut idle = Vec::new();
    for _ in 0..8 {
        let mut stream =
            TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
        let head = "POST /classify HTTP/1.1\r\nhost: x\r\ncontent-length: 150000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&[0; 1000]).await.unwrap();
        idle.push(stream);
    }
    until("each holds its first bytes", || server.server.metrics.admitted_bytes.get() == 8000)
        .await;
    assert_eq!(server.classify(data("cifar10-cat.png")).await.status, 200);
    drop(idle);
    until("they are released", || server.server.metrics.admitted_bytes.get() == 0).await;
}

#[tokio::test]
async fn an_upload_that_exceeds_the_memory_limit_while_it_is_received_is_a_503() {
    let options = Options { memory_limit: 10_000, ..Options::default() };
    let server = TestServer::with(options);
    let chunks = (0..20).map(|_| Ok::<_, std::io::Error>(vec![0_u8; 1000]));
    let unannounced = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let refused = server.classify(unannounced).await;
    assert_eq!((refused.status, refused.reason()), (503, "memory-limit".to_owned()));
    assert_eq!(server.model.pipeline.metrics().rejected_count(Reason::MemoryLimit), 1);
    until("all memory is released", || server.server.metrics.admitted_bytes.get() == 0).await;
}

#[tokio::test]
async fn photos_that_wait_for_a_decoder_do_not_reserve_memory_for_pixels() {
    let mut options = Options::default();
    options.plan.decoding = Decoding::Dedicated { threads: 1 };
    let cat = data("cat.jpg");
    options.plan.jpeg_scaling = JpegScaling::Off;
    let one = decode::inspect(&cat, &options.plan.limits).unwrap().decoded_bytes();
    options.memory_limit = one * 3 / 2 + 16 * cat.len() as u64;
    let server = TestServer::with(options);
    let all = (0..16).map(|_| server.classify(cat.clone()));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(server.model.pipeline.metrics().decode_wait_seconds.get_sample_count(), 16);
}

#[tokio::test]
async fn a_damaged_image_fails_alone_with_and_without_decoder_threads() {
    for decoding in [Decoding::Inline, Decoding::Dedicated { threads: 2 }] {
        let mut options = Options::default();
        options.plan.decoding = decoding;
        let server = TestServer::with(options);
        let cat = data("cat.jpg");
        // Its segments are complete, so that the damage is detected only during decoding.
        let half = [&cat[..cat.len() / 2], b"\xFF\xD9"].concat();
        let form = [&half, &cat, &half, &cat].into_iter().fold(Form::new(), |form, bytes| {
            form.part("image", Part::bytes(bytes.clone()).file_name("photo.jpg"))
        });
        let sent = server.client.post(server.at("/classify")).multipart(form).send().await;
        let answer = Answer::of(sent.unwrap()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let results = answer.json()["results"].clone();
        for (place, reason) in [(0, "corrupt-image"), (2, "corrupt-image")] {
            assert_eq!(results[place]["reason"], reason, "{decoding:?}");
        }
        for place in [1, 3] {
            assert_eq!(results[place]["predictions"][0]["label"], "cat", "{decoding:?}");
        }
        assert_eq!(server.model.pipeline.metrics().failed_batches.get(), 0);
        assert_eq!(server.model.pipeline.metrics().decode_seconds.get_sample_count(), 4);
        assert_eq!(server.server.metrics.admitted_bytes.get(), 0, "all memory is released");
    }
}

#[tokio::test]
async fn a_client_that_disconnects_before_its_image_is_decoded_is_counted() {
    let mut options = Options::default();
    options.plan.decoding = Decoding::Dedicated { threads: 0 }; // never free
    let server = TestServer::with(options);
    let leaving = send(&server);
    until("it is in flight", || server.model.pipeline.metrics().images_in_flight.get() == 1).await;
    leaving.abort();
    until("it is counted", || server.model.pipeline.metrics().abandoned.get() == 1).await;
    until("its permit is released", || server.model.pipeline.metrics().images_in_flight.get() == 0)
        .await;
}

#[tokio::test]
async fn a_form_without_accepted_images_has_retry_after() {
    let gate = Gate::default();
    let server = gated(&gate);
    let inside: Vec<_> = (0..4).map(|_| send(&server)).collect();
    until("four images are in flight", || {
        server.model.pipeline.metrics().images_in_flight.get() == 4
    })
    .await;
    let form = ["a.png", "b.png"].into_iter().fold(Form::new(), |form, name| {
        form.part("image", Part::bytes(data("cifar10-cat.png")).file_name(name))
    });
    let sent = server.client.post(server.at("/classify")).multipart(form).send().await;
    let refused = Answer::of(sent.unwrap()).await;
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    gate.open();
    for answer in inside {
        assert_eq!(answer.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_panicking_engine_is_a_500_and_makes_the_server_not_ready() {
    let mended = Gate::default();
    let engines = vec![panicking_until(&mended)];
    let server = TestServer::with(Options { engines: Some(engines), ..Options::default() });
    for _ in 0..3 {
        let failed = server.classify(data("cifar10-cat.png")).await;
        assert_eq!((failed.status, failed.reason()), (500, "inference-failed".to_owned()));
    }
    let unready = server.get("/readyz").await;
    assert_eq!((unready.status, unready.reason()), (503, "not-ready".to_owned()));
    assert_eq!(server.get("/livez").await.status, 200);
    mended.open();
    assert_eq!(server.classify(data("cifar10-cat.png")).await.status, 200, "the worker continues");
    assert_eq!(server.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn the_predicted_wait_is_exported() {
    let gate = Gate::default();
    let server = gated(&gate);
    gate.open();
    server.classify(data("cifar10-cat.png")).await;
    let metrics = server.get("/metrics").await.text;
    let series = r#"resnetd_predicted_wait_seconds{model="cifar10-resnet56",version="1"} "#;
    let wait = metrics.lines().find_map(|line| line.strip_prefix(series));
    assert_eq!(wait, Some("0"), "nothing is in flight");
    tokio::time::timeout(Duration::from_secs(60), server.stop()).await.unwrap();
}

#[tokio::test]
async fn an_unread_response_counts_against_the_memory_limit() {
    let server = TestServer::start();
    let stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let (unread, mut sent) = stream.into_split();
    // The overlay of a photo is a PNG of the photo's size. The requests of a connection are answered one
    // after the other, until the socket buffers are full.
    let cat = data("cat.jpg");
    let head = format!(
        "POST /classify?explain=cam HTTP/1.1\r\nhost: localhost\r\naccept: image/png\r\n\
         content-length: {}\r\n\r\n",
        cat.len()
    );
    let sending = tokio::spawn(async move {
        for _ in 0..100 {
            sent.write_all(head.as_bytes()).await?;
            sent.write_all(&cat).await?;
        }
        std::io::Result::Ok(sent)
    });
    let metrics = &server.server.metrics;
    until("an unsent response is counted", || {
        server.model.pipeline.metrics().images_in_flight.get() == 0
            && metrics.admitted_bytes.get() >= 100_000
    })
    .await;
    sending.abort();
    drop((sending.await, unread));
    until("it is released", || metrics.admitted_bytes.get() == 0).await;
}
