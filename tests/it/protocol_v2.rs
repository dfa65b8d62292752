//! The Open Inference Protocol, version 2: requests that common clients do not send. `tests/python` has tests
//! with the clients.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::RequestBuilder;
use resnetd::pipeline::decode::{self, Limits};
use resnetd::telemetry::Reason;
use serde_json::{Value, json};

use crate::support::engines::Gate;
use crate::support::{Answer, Options, TestServer, data, default_model, until};

const MODEL: &str = "/v2/models/cifar10-resnet56";
const INFER: &str = "/v2/models/cifar10-resnet56/infer";
/// Bytes of one image of 32×32 pixels.
const IMAGE: usize = 32 * 32 * 3;

/// The input of the default network for an image.
fn pixels(name: &str) -> Vec<u8> {
    let file = data(name);
    let header = decode::inspect(&file, &Limits::default()).unwrap();
    let image = decode::decode(&file, &header, decode::Watch::never()).unwrap();
    default_model().card.preprocess.apply(&image).as_bytes().to_vec()
}

/// Normalised as for a PyTorch model: `[3, 32, 32]`.
fn normalised(pixels: &[u8]) -> Vec<f32> {
    let preprocess = &default_model().card.preprocess;
    let value = |channel: usize, place: usize| {
        let pixel = f32::from(pixels[place * 3 + channel]) / 255.0;
        (pixel - preprocess.mean[channel]) / preprocess.std[channel]
    };
    (0..3).flat_map(|channel| (0..32 * 32).map(move |place| value(channel, place))).collect()
}

fn input(name: &str, datatype: &str, shape: &[usize], data: impl Into<Value>) -> Value {
    json!({ "name": name, "datatype": datatype, "shape": shape, "data": data.into() })
}

fn one_image(data: impl Into<Value>) -> Value {
    json!({ "inputs": [input("pixels", "UINT8", &[1, 32, 32, 3], data)] })
}

async fn infer(server: &TestServer, body: &Value) -> Answer {
    server.post(INFER, body.to_string()).await
}

/// JSON followed by `binary`.
fn with_binary(server: &TestServer, json: &Value, binary: &[u8]) -> RequestBuilder {
    let mut body = json.to_string().into_bytes();
    let length = body.len();
    body.extend_from_slice(binary);
    server
        .client
        .post(server.at(INFER))
        .header("inference-header-content-length", length)
        .body(body)
}

/// The JSON of an answer, and the binary data after it.
async fn split(request: RequestBuilder) -> (Value, Vec<u8>) {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/octet-stream");
    let length = response.headers()["inference-header-content-length"].to_str().unwrap();
    let length: usize = length.parse().unwrap();
    let body = response.bytes().await.unwrap();
    (serde_json::from_slice(&body[..length]).unwrap(), body[length..].to_vec())
}

fn floats(values: &Value) -> Vec<f32> {
    serde_json::from_value(values.clone()).unwrap()
}

fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The probabilities of `/classify`, by class.
async fn classified(server: &TestServer, name: &str) -> Vec<f32> {
    let answer = server.post("/classify?top_k=10", data(name)).await.json();
    let mut probabilities = vec![f32::NAN; 10];
    for prediction in answer["predictions"].as_array().unwrap() {
        let class = usize::try_from(prediction["index"].as_u64().unwrap()).unwrap();
        probabilities[class] = serde_json::from_value(prediction["probability"].clone()).unwrap();
    }
    probabilities
}

/// The same image as `[3, 32, 32]` and as `[32, 32, 3]`.
fn both_layouts(pixels: &[u8]) -> [Vec<f32>; 2] {
    let first = normalised(pixels);
    let last = (0..IMAGE).map(|place| first[place % 3 * 1024 + place / 3]).collect();
    [first, last]
}

#[tokio::test]
async fn every_json_encoding_of_an_image_has_the_bit_identical_scores_of_classify() {
    let server = TestServer::start();
    let expected = classified(&server, "cifar10-cat.png").await;
    let pixels = pixels("cifar10-cat.png");
    let [first, last] = both_layouts(&pixels);
    let file = BASE64_STANDARD.encode(data("cifar10-cat.png"));
    let nested: Vec<Vec<Vec<u8>>> =
        pixels.chunks(96).map(|row| row.chunks(3).map(<[u8]>::to_vec).collect()).collect();
    for written in [
        input("pixels", "UINT8", &[1, 32, 32, 3], pixels),
        input("pixels", "UINT8", &[1, 32, 32, 3], json!([nested])),
        input("input", "FP32", &[1, 3, 32, 32], first),
        input("input", "FP32", &[1, 32, 32, 3], last),
        input("image", "BYTES", &[1], json!([file])),
        input("image", "BYTES", &[1, 1], json!([[file]])),
    ] {
        let answer = infer(&server, &json!({ "id": "7", "inputs": [written] })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/json");
        let answer = answer.json();
        assert_eq!((&answer["id"], &answer["model_version"]), (&json!("7"), &json!("1")));
        let outputs = answer["outputs"].as_array().unwrap();
        let names: Vec<_> = outputs.iter().map(|output| &output["name"]).collect();
        assert_eq!(names, ["probabilities", "logits"]);
        assert_eq!(floats(&outputs[0]["data"]), expected);
        assert_eq!(outputs[1]["shape"], json!([1, 10]));
    }
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0, "all memory is released");
}

#[tokio::test]
async fn every_binary_encoding_of_an_image_has_the_bit_identical_scores_of_classify() {
    let server = TestServer::start();
    let expected = classified(&server, "cifar10-cat.png").await;
    let pixels = pixels("cifar10-cat.png");
    let [first, last] = both_layouts(&pixels).map(|floats| to_bytes(&floats));
    let file = data("cifar10-cat.png");
    let framed = [&u32::try_from(file.len()).unwrap().to_le_bytes()[..], &file].concat();
    for (name, datatype, shape, binary) in [
        ("pixels", "UINT8", &[1, 32, 32, 3][..], pixels),
        ("input", "FP32", &[1, 3, 32, 32], first),
        ("input", "FP32", &[1, 32, 32, 3], last),
        ("image", "BYTES", &[1], framed),
    ] {
        let parameters = json!({ "binary_data_size": binary.len() });
        let json = json!({
            "parameters": { "binary_data_output": true },
            "inputs": [{ "name": name, "datatype": datatype, "shape": shape, "parameters": parameters }],
        });
        let (answer, binary) = split(with_binary(&server, &json, &binary)).await;
        assert_eq!(answer["outputs"][0]["parameters"], json!({ "binary_data_size": 40 }));
        assert_eq!(from_bytes(&binary[..40]), expected, "{name}");
    }
    let raw = server.client.post(server.at(INFER)).header("inference-header-content-length", "0");
    let (answer, binary) = split(raw.body(file)).await;
    assert_eq!(answer["outputs"][0]["name"], "probabilities");
    assert_eq!(from_bytes(&binary[..40]), expected);
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0, "all memory is released");
}

#[tokio::test]
async fn several_images_are_answered_in_order_in_the_requested_encodings() {
    let server = TestServer::start();
    let cat = classified(&server, "cifar10-cat.png").await;
    let ship = classified(&server, "cifar10-ship.png").await;
    let both = [pixels("cifar10-cat.png"), pixels("cifar10-ship.png")].concat();
    let request = json!({
        "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": [2, 32, 32, 3] }],
        "outputs": [
            { "name": "embedding", "parameters": { "binary_data": true } },
            { "name": "probabilities", "parameters": { "classification": 2 } },
            { "name": "logits", "parameters": { "binary_data": true, "classification": 1 } },
        ],
    });
    let (answer, binary) = split(with_binary(&server, &request, &both)).await;
    let [embedding, probabilities, logits] = [0, 1, 2].map(|index| &answer["outputs"][index]);

    assert_eq!(embedding["shape"], json!([2, 64]));
    let vectors = from_bytes(&binary[..2 * 64 * 4]);
    let embedded = server.post("/embed", data("cifar10-ship.png")).await.json();
    assert_eq!(vectors[64..], floats(&embedded["embedding"]));

    assert_eq!(
        (&probabilities["datatype"], &probabilities["shape"]),
        (&json!("BYTES"), &json!([2, 2]))
    );
    let labels = &default_model().card.labels;
    let best = |scores: &[f32]| {
        let best = (0..10).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
        format!("{:.6}:{best}:{}", scores[best], labels[best])
    };
    assert_eq!(probabilities["data"][0], best(&cat));
    assert_eq!(probabilities["data"][2], best(&ship));

    assert_eq!(logits["shape"], json!([2, 1]));
    let texts = &binary[2 * 64 * 4..];
    let length = u32::from_le_bytes(texts[..4].try_into().unwrap());
    let text = std::str::from_utf8(&texts[4..4 + length as usize]).unwrap();
    let first = best(&cat);
    assert_eq!(text.split_once(':').unwrap().1, first.split_once(':').unwrap().1);
    assert_eq!(logits["parameters"]["binary_data_size"], texts.len());
}

#[rustfmt::skip] // one case per line
#[tokio::test]
async fn metadata_and_statistics_are_available() {
    let server = TestServer::start();
    assert_eq!(server.get("/v2/health/live").await.json(), json!({ "live": true }));
    assert_eq!(server.get("/v2/health/ready").await.json(), json!({ "live": true, "ready": true }));
    assert_eq!(server.get("/v2").await.json()["extensions"][0], "binary_tensor_data");
    let model = server.get(MODEL).await.json();
    assert_eq!(model["inputs"][0], json!({ "name": "pixels", "datatype": "UINT8", "shape": [-1, 32, 32, 3] }));
    assert_eq!(model["inputs"][1], json!({ "name": "input", "datatype": "FP32", "shape": [-1, 3, 32, 32] }));
    assert_eq!(model["inputs"][2], json!({ "name": "image", "datatype": "BYTES", "shape": [-1] }));
    let config = server.get(&format!("{MODEL}/versions/1/config")).await.json();
    assert_eq!((&config["max_batch_size"], &config["input"][0]["format"]), (&json!(256), &json!("FORMAT_NHWC")));
    assert_eq!(config["input"][0]["optional"], false);
    assert_eq!(config["input"][2]["optional"], true);

    server.classify(data("cifar10-cat.png")).await;
    infer(&server, &one_image(pixels("cifar10-cat.png"))).await;
    for path in ["/v2/models/stats".to_owned(), format!("{MODEL}/stats")] {
        let statistics = server.get(&path).await.json();
        let model = &statistics["model_stats"][0];
        assert_eq!((&model["name"], &model["inference_count"]), (&json!("cifar10-resnet56"), &json!(2)));
        assert_eq!(model["inference_stats"]["compute_input"]["count"], 1, "pixels are not preprocessed");
        assert!(model["inference_stats"]["compute_infer"]["ns"].as_u64().unwrap() > 0);
    }
    let index = server.post("/v2/repository/index", "").await.json();
    assert_eq!(index, json!([{ "name": "cifar10-resnet56", "version": "1", "state": "READY", "reason": "" }]));
}

#[tokio::test]
async fn an_unknown_model_or_version_is_a_404_with_the_available_ones() {
    let server = TestServer::start();
    for path in [
        "/v2/models/resnet50",
        "/v2/models/timm/resnet50/ready",
        "/v2/models/cifar10-resnet56/versions/2",
        "/v2/models/cifar10-resnet56/versions/2/config",
        "/v2/models/timm/resnet50/versions/1/stats",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        let ours = ["this server serves \"cifar10-resnet56\"", "its versions are \"1\""];
        assert!(ours.iter().any(|ours| error.contains(ours)), "{error}");
    }
    assert_eq!(server.post("/v2/models/other/infer", "{}").await.status, 404);
}

#[tokio::test]
async fn a_name_with_a_slash_is_found_escaped_and_as_it_is() {
    let mut model = default_model();
    let card = resnetd::model::ModelCard { name: "us/net".to_owned(), ..(*model.card).clone() };
    model.card = std::sync::Arc::new(card);
    let server = TestServer::with(Options { model, ..Options::default() });
    for path in ["us/net", "us%2Fnet", "us/net/versions/1", "us%2Fnet/versions/1/ready"] {
        let answer = server.get(&format!("/v2/models/{path}")).await;
        assert_eq!((answer.status, &answer.json()["name"]), (200, &json!("us/net")), "{path}");
    }
}

#[rustfmt::skip] // one case per line
#[tokio::test]
async fn an_invalid_request_gets_an_error_with_the_valid_values() {
    let server = TestServer::start();
    let ready = pixels("cifar10-cat.png");
    let shape = [1, 32, 32, 3];
    let asking = |outputs: Value| {
        let mut request = one_image(ready.clone());
        request["outputs"] = outputs;
        request
    };
    for (request, words) in [
        (json!({ "inputs": [] }), "the request has no inputs; send one of pixels, input, image"),
        (json!({}), "missing field `inputs`"),
        (json!({ "inputs": [input("x", "UINT8", &shape, ready.clone())] }), "there is no input \"x\""),
        (json!({ "inputs": [input("pixels", "INT8", &shape, ready.clone())] }), "UINT8, FP32 and BYTES are taken"),
        (json!({ "inputs": [input("pixels", "FP32", &shape, ready.clone())] }), "it takes UINT8"),
        (json!({ "inputs": [input("pixels", "UINT8", &[1, 3, 32, 32], ready.clone())] }), "it takes [N, 32, 32, 3]"),
        (json!({ "inputs": [input("pixels", "UINT8", &[0, 32, 32, 3], json!([]))] }), "N is 1 to 256"),
        (json!({ "inputs": [input("pixels", "UINT8", &[257, 32, 32, 3], ready.clone())] }), "more than 256 images"),
        (json!({ "inputs": [input("pixels", "UINT8", &[2, 32, 32, 3], ready.clone())] }), "is 6144 bytes, and 3072 were sent"),
        (json!({ "inputs": [input("pixels", "UINT8", &shape, json!([256]))] }), "whole numbers from 0 to 255"),
        (json!({ "inputs": [input("pixels", "UINT8", &shape, json!([0.5]))] }), "whole numbers from 0 to 255"),
        (json!({ "inputs": [input("input", "FP32", &[1, 3, 32, 32], vec![0.5; IMAGE])] }), "no whole number from 0 to 255"),
        (json!({ "inputs": [input("image", "BYTES", &[1], json!(["<svg>"]))] }), "is not base64"),
        (json!({ "inputs": [input("image", "BYTES", &[2], json!(["AAAA"]))] }), "the shape [2] and 1 elements"),
        (json!({ "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": shape }] }), "has no data"),
        (json!({ "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": vec![1; 17] }] }), "at most 16 elements"),
        (json!({ "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": shape,
                              "parameters": { "binary_data_size": 3072 } }] }), "0 bytes are left of the body"),
        (json!({ "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": shape,
                              "parameters": { "shared_memory_region": "a" } }] }), "shared memory, which is not served"),
        (asking(json!([{ "name": "scores" }])), "this model gives probabilities, logits, embedding"),
        (asking(json!([{ "name": "logits" }, { "name": "logits" }])), "requested twice"),
        (asking(json!([{ "name": "logits", "parameters": { "classification": 0 } }])), "classification is 0"),
        (asking(json!([{ "name": "embedding", "parameters": { "classification": 1 } }])), "an embedding has no classes"),
    ] {
        let answer = infer(&server, &request).await;
        assert!((400..500).contains(&answer.status), "{words}: {answer:?}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    }
    assert_eq!(server.model.pipeline.metrics().batch_size.get_sample_count(), 0, "no batch was run");
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0, "all memory is released");
    let answer = server.post(INFER, data("cat.jpg")).await;
    let hint = "set the header Inference-Header-Content-Length: 0";
    assert!(answer.status == 400 && answer.text.contains(hint), "{answer:?}");
}

#[rustfmt::skip] // one case per line
#[tokio::test]
async fn binary_data_that_do_not_fit_their_json_are_distinct_errors() {
    let server = TestServer::start();
    let ready = pixels("cifar10-cat.png");
    let sized = |size: usize| {
        json!({ "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": [1, 32, 32, 3],
                             "parameters": { "binary_data_size": size } }] })
    };
    let files = json!({ "inputs": [{ "name": "image", "datatype": "BYTES", "shape": [1] }] });
    for (request, words) in [
        (with_binary(&server, &sized(IMAGE), &ready[1..]), "3071 bytes are left of the body"),
        (with_binary(&server, &sized(IMAGE), &[&ready[..], b"x"].concat()), "1 bytes are left behind the tensors"),
        (with_binary(&server, &sized(10), &ready[..10]), "is 3072 bytes, and 10 were sent"),
        (with_binary(&server, &files, b"\xff\xff\xff\xffabc"), "end inside element 0, with 3 bytes left"),
        (with_binary(&server, &files, b"\x01\x00"), "end inside element 0, with 2 bytes left"),
        (with_binary(&server, &files, &[0; 4 * 257]), "more than 256 images"),
        (server.client.post(server.at(INFER)).header("inference-header-content-length", "9").body("{}"), "is 9, and the body has 2 bytes"),
        (server.client.post(server.at(INFER)).header("inference-header-content-length", "x").body("{}"), "the number of bytes of JSON"),
        (server.client.post(server.at(INFER)).header("content-encoding", "gzip").body("{}"), "not compressed as Content-Encoding declares"),
        (server.client.post(server.at(INFER)).header("inference-header-content-length", "0").body("no image"), "not an image"),
    ] {
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert!((400..500).contains(&answer.status), "{words}: {answer:?}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    }
}

#[tokio::test]
async fn the_error_for_several_images_names_the_invalid_one() {
    let server = TestServer::start();
    let files = [data("cifar10-cat.png"), b"not an image".to_vec()];
    let encoded: Vec<_> = files.iter().map(|file| BASE64_STANDARD.encode(file)).collect();
    let request = json!({ "inputs": [input("image", "BYTES", &[2], encoded)] });
    let answer = infer(&server, &request).await;
    assert_eq!((answer.status, answer.reason()), (400, "not-an-image".to_owned()));
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("image 2 of 2: "), "{error}");
}

/// A server whose only worker waits at `gate`, with a capacity of two images.
fn gated(gate: &Gate) -> TestServer {
    let mut options = Options { engines: Some(vec![gate.engine()]), ..Options::default() };
    options.plan.queue_capacity = 2;
    options.plan.batch.max_batch = 1;
    TestServer::with(options)
}

fn send(server: &TestServer) -> tokio::task::JoinHandle<Answer> {
    let body = one_image(pixels("cifar10-cat.png")).to_string();
    let request = server.client.post(server.at(INFER)).body(body);
    tokio::spawn(async move { Answer::of(request.send().await.unwrap()).await })
}

#[tokio::test]
async fn requests_are_queued_rejected_and_abandoned_like_those_of_classify() {
    let gate = Gate::default();
    let server = gated(&gate);
    let first = send(&server);
    until("the worker has one", || {
        server.model.pipeline.metrics().images_in_flight.get() == 1
            && server.model.pipeline.metrics().queue_depth.get() == 0
    })
    .await;

    let mut hurried = one_image(pixels("cifar10-cat.png"));
    hurried["parameters"] = json!({ "timeout": 50_000 });
    let late = infer(&server, &hurried).await;
    assert_eq!((late.status, late.reason()), (503, "deadline".to_owned()));
    assert!(late.json()["error"].as_str().unwrap().contains("50ms"), "{}", late.text);

    let leaving = send(&server);
    until("the second is queued", || server.model.pipeline.metrics().queue_depth.get() == 1).await;
    let full = infer(&server, &one_image(pixels("cifar10-cat.png"))).await;
    assert_eq!((full.status, full.reason()), (503, "queue-full".to_owned()));
    assert!(full.header("retry-after").parse::<u64>().unwrap() >= 1);
    let status = grpc_infer(&server, &message(pixels("cifar10-cat.png"))).await;
    assert_eq!(status.code, "14", "{status:?}");
    assert!(status.pushback_ms.unwrap() >= 1000);
    assert_eq!(server.model.pipeline.metrics().rejected_count(Reason::QueueFull), 2);
    // A probe does not need the queue: a busy server is alive.
    let live = grpc(&server, "/inference.GRPCInferenceService/ServerLive", framed(b"")).await;
    assert_eq!(live.body, framed(&[8, 1]), "{live:?}");

    leaving.abort();
    until("it was removed", || server.model.pipeline.metrics().queue_depth.get() == 0).await;
    gate.open();
    assert_eq!(first.await.unwrap().status, 200);
}

/// A field of a protobuf message, written by hand to create messages that clients do not send.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(value.len() as u64, &mut field);
    field.extend_from_slice(value);
    field
}

#[expect(clippy::needless_pass_by_value, reason = "callers pass temporary values")]
fn message(raw: Vec<u8>) -> Vec<u8> {
    let shape = field(3, &[1, 32, 32, 3]);
    let input = [field(1, b"pixels"), field(2, b"UINT8"), shape].concat();
    [field(1, b"cifar10-resnet56"), field(5, &input), field(7, &raw)].concat()
}

/// The end of a failed call; trailers of successful calls are not read.
#[derive(Debug)]
struct Ended {
    code: String,
    message: String,
    pushback_ms: Option<u64>,
    body: Vec<u8>,
}

async fn grpc(server: &TestServer, path: &str, frame: Vec<u8>) -> Ended {
    call(server, path, frame, &[]).await
}

async fn call(server: &TestServer, path: &str, frame: Vec<u8>, more: &[(&str, &str)]) -> Ended {
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let request = client
        .post(server.at(path))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(frame);
    let request = more.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    Ended {
        code: text("grpc-status").unwrap_or_default(),
        message: text("grpc-message").unwrap_or_default().replace("%20", " ").replace("%22", "\""),
        pushback_ms: text("grpc-retry-pushback-ms").map(|millis| millis.parse().unwrap()),
        body: response.bytes().await.unwrap().to_vec(),
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}

const GRPC_INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

async fn grpc_infer(server: &TestServer, message: &[u8]) -> Ended {
    grpc(server, GRPC_INFER, framed(message)).await
}

#[tokio::test]
async fn grpc_answers_on_the_same_port() {
    let server = TestServer::start();
    let live = grpc(&server, "/inference.GRPCInferenceService/ServerLive", framed(b"")).await;
    assert_eq!(live.body, framed(&[8, 1]));
    let answer = grpc_infer(&server, &message(pixels("cifar10-cat.png"))).await;
    assert_eq!(answer.code, "", "it ends with trailers");
    let expected = to_bytes(&classified(&server, "cifar10-cat.png").await);
    let found = answer.body.windows(40).any(|window| window == expected);
    assert!(found, "the answer has bit-identical probabilities");
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0, "all memory is released");
}

#[rustfmt::skip] // one case per line
#[tokio::test]
async fn invalid_messages_get_a_specific_error_and_little_memory() {
    let mut options = Options::default();
    options.plan.limits.max_bytes = 100_000;
    let server = TestServer::with(options);
    let ready = pixels("cifar10-cat.png");
    let named = |name: &str| field(1, name.as_bytes());
    let image = |shape: &[u8]| {
        let input = [field(1, b"image"), field(2, b"BYTES"), field(3, shape)].concat();
        [named("cifar10-resnet56"), field(5, &input)].concat()
    };
    for (frame, code, words) in [
        (framed(&named("other")), "5", "this server serves \"cifar10-resnet56\""),
        (framed(&message(ready[1..].to_vec())), "3", "is 3072 bytes, and 3071 were sent"),
        (framed(&image(&[1])), "3", "has no data"),
        (framed(&[image(&[1]), field(7, b"\x09\0\0\0abc")].concat()), "3", "end inside element 0"),
        (framed(&[image(&[1]), field(7, b""), field(7, b"")].concat()), "3", "has 2 entries for 1 inputs"),
        (framed(&field(5, b"").repeat(5000)), "3", "more than 1024 inputs"),
        (framed(b"\xff\xff\xff"), "3", "the message cannot be read"),
        (framed(&vec![0; 100_001]), "8", "more than 100000 bytes"),
        (vec![0, 0, 0, 0, 9, 1], "13", ""),
    ] {
        let ended = grpc(&server, GRPC_INFER, frame).await;
        assert_eq!(ended.code, code, "{words}: {ended:?}");
        assert!(ended.message.contains(words), "{:?} does not say {words:?}", ended.message);
    }
    let late = call(&server, GRPC_INFER, framed(b""), &[("grpc-timeout", "soon")]).await;
    assert_eq!(late.code, "3", "{late:?}");
    let unknown = grpc(&server, "/inference.GRPCInferenceService/ModelTrain", framed(b"")).await;
    assert_eq!(unknown.code, "12");
    let metrics = server.get("/metrics").await.text;
    let refused = "route=\"/inference.GRPCInferenceService/ModelInfer\",status=\"422\"";
    assert!(metrics.contains(refused), "the failed call is counted with its status");
    assert!(!metrics.contains("ModelTrain"), "labels do not contain client text");
    assert_eq!(server.server.metrics.admitted_bytes.get(), 0, "all memory is released");
}

#[tokio::test]
async fn statuses_of_the_grpc_library_repeat_at_most_200_characters() {
    let server = TestServer::start();
    let long = "a".repeat(20_000);
    let ended = call(&server, GRPC_INFER, framed(b""), &[("grpc-encoding", &long)]).await;
    assert_eq!(ended.code, "12", "{}", ended.message.len());
    assert!((100..=250).contains(&ended.message.matches('a').count()), "{}", ended.message);
}

#[tokio::test]
async fn a_grpc_deadline_ends_the_wait() {
    let gate = Gate::default();
    let server = gated(&gate);
    let frame = framed(&message(pixels("cifar10-cat.png")));
    let late = call(&server, GRPC_INFER, frame, &[("grpc-timeout", "50m")]).await;
    assert_eq!(late.code, "4", "{late:?}");
    gate.open();
}

#[tokio::test]
async fn a_health_watch_reports_the_shutdown_and_does_not_delay_it() {
    let server = TestServer::start();
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let watching = client
        .post(server.at("/grpc.health.v1.Health/Watch"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(framed(b""));
    let mut watching = watching.send().await.unwrap();
    assert_eq!(watching.chunk().await.unwrap().unwrap(), framed(&[8, 1]), "serving");
    let stopped = tokio::spawn(server.stop());
    assert_eq!(watching.chunk().await.unwrap().unwrap(), framed(&[8, 2]), "not serving");
    assert_eq!(watching.chunk().await.unwrap(), None, "and then the stream ends");
    assert!(stopped.await.unwrap());
}
