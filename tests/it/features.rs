//! Embeddings, the network's input, candidates and thresholds.

use base64::Engine;
use reqwest::multipart::{Form, Part};
use resnetd::pipeline::Output;
use resnetd::pipeline::preprocess::JpegScaling;
use resnetd::pipeline::run::{Batch, InputShape, Session, SessionPlan};
use serde_json::Value;

use crate::support::{Answer, Options, TestServer, data, default_model, library};

fn numbers(values: &Value) -> Vec<f32> {
    serde_json::from_value(values.clone()).unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

async fn post(server: &TestServer, path: &str, accept: &str, body: Vec<u8>) -> (Answer, Vec<u8>) {
    let request = server.client.post(server.at(path)).header("accept", accept).body(body);
    read(request).await
}

async fn read(request: reqwest::RequestBuilder) -> (Answer, Vec<u8>) {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.unwrap().to_vec();
    (Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }, bytes)
}

fn form(names: &[&'static str]) -> Form {
    names
        .iter()
        .fold(Form::new(), |form, name| form.part(*name, Part::bytes(data(name)).file_name(*name)))
}

#[tokio::test]
async fn an_embedding_is_that_of_the_graph_in_every_format() {
    let model = default_model();
    let plan = SessionPlan::on_cpu(1);
    let mut session = Session::open(library(), &model.onnx, plan, &[Output::Embedding]).unwrap();
    let limits = resnetd::pipeline::decode::Limits::default();
    let ship = data("cifar10-ship.png");
    let header = resnetd::pipeline::decode::inspect(&ship, &limits).unwrap();
    let image = resnetd::pipeline::decode::decode(
        &ship,
        &header,
        resnetd::pipeline::decode::Watch::never(),
    )
    .unwrap();
    let mut batch = Batch::with_capacity(InputShape { height: 32, width: 32 }, 1);
    batch.push(&model.card.preprocess.apply(&image));
    let expected = session.run(&batch).unwrap().row(Output::Embedding, 0).to_vec();

    let server = TestServer::start();
    let body = server.post("/embed", ship.clone()).await.json();
    assert_eq!(
        [&body["model"], &body["dimensions"]],
        [&Value::from("cifar10-resnet56"), &Value::from(64)]
    );
    assert_eq!(body["image"]["width"], 32);
    assert_eq!(numbers(&body["embedding"]), expected);

    let text = server.post("/embed?format=base64", ship.clone()).await.json()["embedding"].clone();
    let bytes = base64::prelude::BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap();
    assert_eq!(floats(&bytes), expected);

    let (answer, file) = post(&server, "/embed", "application/x-npy", ship).await;
    assert_eq!(answer.header("content-type"), "application/x-npy");
    assert_eq!(&file[..8], b"\x93NUMPY\x01\x00");
    let header = usize::from(u16::from_le_bytes([file[8], file[9]]));
    assert_eq!((10 + header) % 64, 0);
    assert!(answer.text.contains("'descr': '<f4'") && answer.text.contains("(64,)"));
    assert_eq!(floats(&file[10 + header..]), expected);
}

#[tokio::test]
async fn a_normalised_embedding_has_the_length_1_and_the_same_direction() {
    let server = TestServer::start();
    let plain = numbers(&server.post("/embed", data("cat.jpg")).await.json()["embedding"]);
    let unit = server.post("/embed?normalize=l2", data("cat.jpg")).await.json();
    let unit = numbers(&unit["embedding"]);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    assert!((dot(&unit, &unit) - 1.0).abs() < 1e-5);
    assert!((dot(&plain, &unit) - dot(&plain, &plain).sqrt()).abs() < 1e-3);
}

#[tokio::test]
async fn embeddings_of_a_form_are_in_order_and_a_matrix_is_complete_or_an_error() {
    let server = TestServer::start();
    let alone = server.post("/embed", data("cat.jpg")).await.json()["embedding"].clone();
    let send = |form: Form, accept: &'static str| {
        let request = server.client.post(server.at("/embed")).header("accept", accept);
        read(request.multipart(form))
    };
    let mixed = form(&["cifar10-ship.png", "README.md", "cat.jpg"]);
    let (answer, _) = send(mixed, "application/json").await;
    let results = answer.json()["results"].clone();
    assert_eq!(results[1]["reason"], "not-an-image");
    assert_eq!(results[2]["embedding"], alone);

    let (answer, file) = send(form(&["cifar10-ship.png", "cat.jpg"]), "application/x-npy").await;
    assert!(answer.text.contains("'shape': (2, 64)"), "{answer:?}");
    assert_eq!(floats(&file[file.len() - 64 * 4..]), numbers(&alone));
    let mixed = form(&["cifar10-ship.png", "README.md"]);
    let (answer, _) = send(mixed, "application/x-npy").await;
    assert_eq!((answer.status, answer.reason()), (400, "not-an-image".to_owned()));
}

#[tokio::test]
async fn preprocess_returns_the_networks_input_or_the_steps() {
    let server = TestServer::start();
    let (answer, png) = post(&server, "/preprocess", "*/*", data("cat.jpg")).await;
    assert_eq!(answer.header("content-type"), "image/png");
    let seen = image::load_from_memory(&png).unwrap().into_rgb8();
    let pillow = image::load_from_memory(&data("references/cat-bilinear.png")).unwrap();
    let pillow = pillow.into_rgb8();
    assert_eq!(seen.dimensions(), pillow.dimensions());
    let off: u64 = seen.iter().zip(pillow.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(off <= 32 * 32 * 3, "{off}");

    let json = "application/json";
    let turned = data("pictures/orientation-6.jpg");
    let (answer, _) = post(&server, "/preprocess", json, turned).await;
    let mut steps = answer.json();
    let sha256 = steps["sha256"].take();
    insta::assert_json_snapshot!("steps", steps);
    // 397×593 pixels for an input of 32×32.
    let mut options = Options::default();
    options.plan.jpeg_scaling = JpegScaling::Off;
    let exact = TestServer::with(options);
    for (server, decoded_at, scaling) in [(&server, "1/4", "on"), (&exact, "1/1", "off")] {
        let (answer, _) = post(server, "/preprocess", json, data("large/420.jpg")).await;
        assert_eq!(answer.json()["decoded_at"], decoded_at);
        assert_eq!(answer.json()["image"]["width"], 593);
        let (model, _) = read(server.client.get(server.at("/v1/model"))).await;
        assert_eq!(model.json()["jpeg_scaling"], scaling);
    }
    // The same image stored upright has the same input, except for JPEG loss.
    assert_eq!(sha256.as_str().unwrap().len(), 64);
    let (answer, _) = post(&server, "/preprocess", json, png).await;
    let again = answer.json();
    assert_eq!(again["image"]["width"], 32);
    let (first, _) = post(&server, "/preprocess", json, data("cat.jpg")).await;
    assert_eq!(
        again["sha256"],
        first.json()["sha256"],
        "the network's input is unchanged by preprocessing"
    );
    for (name, color) in [
        ("gray.jpg", "l8"),
        ("cmyk.jpg", "cmyk8"),
        ("rgba16.png", "rgba16"),
        ("alpha.webp", "rgba8"),
    ] {
        let photo = data(&format!("pictures/{name}"));
        let (answer, _) = post(&server, "/preprocess", json, photo).await;
        assert_eq!(answer.json()["stored"]["color"], color, "{name}");
    }
    let (answer, _) = post(&server, "/preprocess", json, b"not an image".to_vec()).await;
    assert_eq!((answer.status, answer.reason()), (400, "not-an-image".to_owned()));
    assert_eq!(server.model.pipeline.metrics().images_in_flight.get(), 0);
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0);
}

#[tokio::test]
async fn probabilities_of_candidates_sum_to_1_and_a_threshold_removes_classes() {
    let server = TestServer::start();
    let found = async |query: &str| -> Vec<(String, f64)> {
        let answer = server.post(&format!("/classify?{query}"), data("cat.jpg")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let predictions = answer.json()["predictions"].as_array().unwrap().clone();
        let pair = |found: Value| {
            (found["label"].as_str().unwrap().to_owned(), found["probability"].as_f64().unwrap())
        };
        predictions.into_iter().map(pair).collect()
    };
    let all = found("top_k=10").await;
    let of = |label: &str| all.iter().find(|(known, _)| known == label).unwrap().1;
    for query in ["labels=ship,dog", "labels=Ship&labels=5", "labels=%235,8,dog"] {
        let two = found(query).await;
        let labels: Vec<&str> = two.iter().map(|(label, _)| &**label).collect();
        assert_eq!(labels, ["dog", "ship"], "{query}");
        let expected = of("dog") / (of("dog") + of("ship"));
        assert!((two[0].1 - expected).abs() < 1e-5, "{query}: {two:?}");
        assert!((two[0].1 + two[1].1 - 1.0).abs() < 1e-6, "{query}: {two:?}");
    }
    assert_eq!(found("threshold=0.5").await.len(), 1);
    assert_eq!(found("threshold=0").await.len(), 5);
    assert_eq!(found("labels=cat,dog,ship&threshold=0.5&top_k=3").await[0].0, "cat");
    assert_eq!(found("labels=dog,ship&threshold=1").await, []);

    let explained = "/classify?explain=cam&labels=dog,ship";
    let answer = server.post(explained, data("cat.jpg")).await.json();
    assert_eq!(answer["explanation"]["maps"][0]["label"], "dog");
}

#[tokio::test]
async fn invalid_parameters_are_errors_with_the_valid_values() {
    let server = TestServer::start();
    let mut answers = Vec::new();
    for path in [
        "/classify?labels=cat,zebra",
        "/classify?labels=",
        "/classify?threshold=2",
        "/classify?threshold=NaN",
        "/embed?format=xml",
        "/embed?normalize=l1",
        "/embed?top_k=5",
        "/preprocess?size=2",
    ] {
        let answer = server.post(path, data("cifar10-cat.png")).await;
        assert_eq!((answer.status, &*answer.reason()), (422, "invalid-parameter"), "{path}");
        answers.push(format!("{path}\n    {}", answer.json()["detail"].as_str().unwrap()));
    }
    insta::assert_snapshot!("wrong_parameters", answers.join("\n"));
    let engines = Some(vec![crate::support::engines::Gate::default().engine()]);
    let server = TestServer::with(Options { engines, ..Options::default() });
    let answer = server.post("/embed", data("cat.jpg")).await;
    assert_eq!((answer.status, answer.reason()), (422, "not-offered".to_owned()));
}
