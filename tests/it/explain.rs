//! Class activation maps.

use std::io::Cursor;
use std::sync::Arc;

use image::{Rgb, RgbImage, imageops};
use reqwest::multipart::{Form, Part};
use resnetd::device::Device;
use resnetd::graph::{Network, arch};
use resnetd::model::{Model, ModelCard, Precision, PrecisionChoice};
use resnetd::onnx;
use resnetd::pipeline::decode;
use resnetd::pipeline::preprocess::Pixels;
use resnetd::pipeline::run::{Batch, InputShape, ProbeRuntime, SessionPlan};
use resnetd::quantize::{Method, calibrate, quantize};
use resnetd::weights::Weights;
use serde_json::Value;

use crate::support::{Answer, Options, TestServer, data, default_model, library, seeded, until};

async fn explain(server: &TestServer, query: &str, photo: Vec<u8>) -> Value {
    let answer = server.post(&format!("/classify?explain=cam{query}"), photo).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn overlay(server: &TestServer, query: &str, photo: Vec<u8>) -> (Answer, Vec<u8>) {
    let request = server.client.post(server.at(&format!("/classify?explain=cam{query}")));
    let response = request.header("accept", "image/png").body(photo).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.unwrap().to_vec();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (Answer { status, headers, text }, bytes)
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn png(photo: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    photo.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A grey square of 64×64 with `object`, 32×32, in one of its quarters.
fn pasted(object: &str, [column, row]: [i64; 2]) -> Vec<u8> {
    let mut photo = RgbImage::from_pixel(64, 64, Rgb([128; 3]));
    let object = image::load_from_memory(&data(object)).unwrap().into_rgb8();
    imageops::replace(&mut photo, &object, column * 32, row * 32);
    png(&photo)
}

/// The share of a map's positive values in each of four quarters, row by row.
fn quarters(map: &Value) -> [f64; 4] {
    let side = |name: &str| usize::try_from(map[name].as_u64().unwrap()).unwrap();
    let (height, width, values) = (side("height"), side("width"), numbers(&map["values"]));
    let mut sums = [0.0; 4];
    for (place, value) in values.iter().enumerate() {
        let (row, column) = (place / width, place % width);
        sums[usize::from(row >= height / 2) * 2 + usize::from(column >= width / 2)] +=
            value.max(0.0);
    }
    let total: f64 = sums.iter().sum();
    sums.map(|sum| sum / total)
}

/// For every class, the mean of the map plus the bias is the logit.
async fn assert_exact(model: Model, photo: &str, tolerance: f64) {
    let classes = model.card.labels.len();
    let server = TestServer::with(Options { model, ..Options::default() });
    let query: Vec<String> = (0..classes).map(|class| format!("&class={class}")).collect();
    let body = explain(&server, &query.concat(), data(photo)).await;
    let maps = body["explanation"]["maps"].as_array().unwrap();
    assert_eq!(maps.len(), classes);
    for (class, map) in maps.iter().enumerate() {
        assert_eq!(map["class"], class);
        let values = numbers(&map["values"]);
        let mean = values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap());
        let logit = map["logit"].as_f64().unwrap();
        let error = (mean + map["bias"].as_f64().unwrap() - logit).abs();
        assert!(error <= tolerance * logit.abs().max(1.0), "class {class}: {error} off {logit}");
    }
}

#[tokio::test]
async fn the_mean_of_a_map_plus_the_bias_is_the_logit() {
    assert_exact(default_model(), "cat.jpg", 1e-4).await;
    assert_exact(seeded::model("resnet50", 8, [96, 64]), "cat.jpg", 1e-4).await;
    assert_exact(seeded::model("resnet18", 8, [64, 64]), "cat.jpg", 1e-4).await;
}

/// In int8 the pooled features are rounded to one of 256 values.
#[tokio::test]
async fn in_int8_the_mean_of_a_map_plus_the_bias_is_the_logit_except_for_rounding() {
    let choice = PrecisionChoice::Only(Precision::Int8);
    let model = Model::open_as("cifar10-resnet56", None, choice, Device::Cpu).unwrap().model;
    assert_exact(model, "cat.jpg", 0.05).await;
}

/// After GELU and `SiLU`, features can be negative, unlike after ReLU.
#[tokio::test]
async fn with_gelu_and_silu_the_mean_of_a_map_plus_the_bias_is_the_logit() {
    for name in ["resnet18-gelu", "resnet50-gelu", "resnet18-stride64-silu"] {
        assert_exact(seeded::model(name, 8, [96, 64]), "cat.jpg", 1e-4).await;
    }
}

#[tokio::test]
async fn with_gelu_in_int8_the_mean_of_a_map_plus_the_bias_is_the_logit_except_for_rounding() {
    let model = seeded::model("resnet18-gelu", 8, [64, 64]);
    let graph = model.graph();
    let runtime = ProbeRuntime { library: library(), plan: SessionPlan::on_cpu(1) };
    let mut photos = Batch::with_capacity(InputShape { height: 64, width: 64 }, 1);
    photos.push(&Pixels::from_raw([64, 64], seeded::pixels(64 * 64 * 3)).unwrap());
    let ranges = calibrate(runtime, &graph, &[photos], Method::MinMax, &|| ()).unwrap();
    let card = ModelCard { precision: Precision::Int8, ..model.card.as_ref().clone() };
    assert_exact(Model::of(card, quantize(&graph, &ranges)), "cat.jpg", 0.05).await;
}

#[tokio::test]
async fn the_map_is_strongest_at_the_object() {
    let server = TestServer::start();
    for (object, label) in [("cifar10-cat.png", "cat"), ("cifar10-ship.png", "ship")] {
        for (quarter, place) in [[0, 0], [1, 0], [0, 1], [1, 1]].into_iter().enumerate() {
            let query = format!("&class={label}");
            let body = explain(&server, &query, pasted(object, place)).await;
            let shares = quarters(&body["explanation"]["maps"][0]);
            let others = shares.iter().enumerate().filter(|(other, _)| *other != quarter);
            let most = others.map(|(_, share)| *share).fold(0.0, f64::max);
            assert!(shares[quarter] > 2.0 * most, "{label} in quarter {quarter}: {shares:?}");
        }
    }
}

/// A network that computes brightness from levels between 0 and 1.
fn brightness() -> Model {
    let mut card = default_model().card.as_ref().clone();
    card.preprocess.mean = [0.0; 3];
    card.preprocess.std = [1.0; 3];
    card.golden.clear(); // they belong to another network
    copying(card)
}

/// The card's network with weights for two classes: each convolution copies its first channel, each block adds
/// nothing, and class 1 has weight 2 for the first channel.
fn copying(mut card: ModelCard) -> Model {
    card.labels = vec!["dark".to_owned(), "bright".to_owned()];
    let network = Network::expand(arch::find(&card.architecture).unwrap(), 2);
    let tensors = network.tensors().into_iter().map(|spec| {
        let mut values = vec![0.0; spec.shape.iter().product()];
        let classifier = values.len() / 2;
        match spec.name.as_str() {
            "conv1.weight" => values[spec.shape[2] * spec.shape[3] / 2] = 1.0, // the kernel's centre
            "fc.weight" => values[classifier..].fill(2.0),
            "fc.bias" => values[1] = 0.5,
            name if name.ends_with("downsample.0.weight") => values[0] = 1.0,
            // f = (x − 0) · weight / √(variance + ε), so these copy x.
            name if name.ends_with("running_var") => values.fill(1.0 - 1e-5),
            name if name.ends_with("weight") && spec.shape.len() == 1 => values.fill(1.0),
            _ => {}
        }
        (spec.name, spec.shape, values)
    });
    Model::build(card, Weights::from_tensors(tensors)).unwrap()
}

#[tokio::test]
async fn a_network_that_computes_brightness_maps_exactly_the_bright_pixels() {
    let server = TestServer::with(Options { model: brightness(), ..Options::default() });
    // Due to the network's strides, every fourth pixel of every fourth row remains.
    let mut photo = RgbImage::new(32, 32);
    photo.put_pixel(20, 8, Rgb([255; 3]));
    photo.put_pixel(21, 9, Rgb([255; 3]));
    let body = explain(&server, "&class=bright&class=dark", png(&photo)).await;
    let [bright, dark] = [0, 1].map(|map| &body["explanation"]["maps"][map]);
    let lit: Vec<(usize, f64)> =
        numbers(&bright["values"]).into_iter().enumerate().filter(|(_, v)| *v != 0.0).collect();
    assert_eq!(lit.len(), 1, "{lit:?}");
    assert_eq!(lit[0].0, 2 * 8 + 5, "row 8 / 4, column 20 / 4");
    assert!((lit[0].1 - 2.0).abs() < 1e-5, "{lit:?}");
    assert!(numbers(&dark["values"]).iter().all(|value| *value == 0.0));
    let logit = bright["logit"].as_f64().unwrap();
    assert!((logit - (2.0 / 64.0 + 0.5)).abs() < 1e-5, "{logit}");
}

/// A white image is 1 everywhere, a black one −1. The function is applied nine times: after the stem, and in each
/// of eight blocks. The expected values are 2 · gelu⁹(±1), with Python's `math.erf`.
#[tokio::test]
async fn a_network_with_gelu_that_computes_brightness_maps_dark_images_to_negative_values() {
    let mut card = seeded::model("resnet18-gelu", 2, [64, 64]).card.as_ref().clone();
    card.preprocess.mean = [0.5; 3];
    card.preprocess.std = [0.5; 3];
    let server = TestServer::with(Options { model: copying(card), ..Options::default() });
    for (level, expected) in [(255, 0.039_376_04), (0, -0.000_972_454)] {
        let photo = RgbImage::from_pixel(64, 64, Rgb([level; 3]));
        let body = explain(&server, "&class=bright", png(&photo)).await;
        let values = numbers(&body["explanation"]["maps"][0]["values"]);
        assert_eq!(values.len(), 4);
        for value in values {
            assert!((value - expected).abs() < 1e-6, "level {level}: {value} is not {expected}");
        }
    }
}

#[tokio::test]
async fn an_explanation_changes_nothing_else_and_maps_the_best_class() {
    let server = TestServer::start();
    let plain = server.classify(data("cat.jpg")).await.json();
    let mut explained = explain(&server, "", data("cat.jpg")).await;
    let explanation = explained.as_object_mut().unwrap().remove("explanation").unwrap();
    assert_eq!(explained, plain);
    let map = &explanation["maps"][0];
    assert_eq!([&map["label"], &map["class"]], [&Value::from("cat"), &Value::from(3)]);
    assert_eq!([&map["height"], &map["width"]], [8, 8]);
    let strongest = numbers(&map["values"]).into_iter().fold(0.0, f64::max);
    assert_eq!(explanation["strong"].as_f64(), Some(strongest));
    // 451×300 is resized to 48×32, and the middle 32 columns are kept.
    let crop = &explanation["crop"];
    let side = |name: &str| crop[name].as_f64().unwrap();
    assert!((side("left") - 451.0 / 48.0 * 8.0).abs() < 1e-9, "{crop}");
    assert!((side("width") - 451.0 / 48.0 * 32.0).abs() < 1e-9, "{crop}");
    assert_eq!([&crop["top"], &crop["height"]], [0.0, 300.0]);
}

#[tokio::test]
async fn requests_with_and_without_maps_share_batches() {
    let server = TestServer::start();
    let alone = explain(&server, "", data("cifar10-cat.png")).await;
    let plain = server.classify(data("cifar10-cat.png")).await.json();
    let answers = (0..40).map(|number| {
        let server = &server;
        let path = if number % 2 == 0 { "/classify?explain=cam" } else { "/classify" };
        async move { server.post(path, data("cifar10-cat.png")).await.json() }
    });
    for (number, answer) in futures_util::future::join_all(answers).await.iter().enumerate() {
        assert_eq!(answer, if number % 2 == 0 { &alone } else { &plain });
    }
}

#[tokio::test]
async fn each_image_of_a_form_has_its_own_maps() {
    let server = TestServer::start();
    let part = |name: &'static str| Part::bytes(data(name)).file_name(name);
    let form = Form::new()
        .part("a", part("cat.jpg"))
        .part("b", part("README.md"))
        .part("c", part("cifar10-ship.png"));
    let request = server.client.post(server.at("/classify?explain=cam")).multipart(form);
    let results = Answer::of(request.send().await.unwrap()).await.json()["results"].clone();
    let label = |place: usize| results[place]["explanation"]["maps"][0]["label"].clone();
    assert_eq!([label(0), label(2)], ["cat", "ship"]);
    assert_eq!(results[1]["reason"], "not-an-image");
}

#[tokio::test]
async fn an_overlay_has_the_image_size_and_is_unchanged_outside_the_crop() {
    let server = TestServer::start();
    let (answer, bytes) = overlay(&server, "", data("cat.jpg")).await;
    assert_eq!(answer.header("content-type"), "image/png");
    assert_eq!(answer.header("vary"), "accept");
    assert!(answer.header("server-timing").contains("inference"));
    let painted = image::load_from_memory(&bytes).unwrap().into_rgb8();
    let photo = data("cat.jpg");
    let header = decode::inspect(&photo, &decode::Limits::default()).unwrap();
    let photo = decode::decode(&photo, &header, decode::Watch::never()).unwrap();
    assert_eq!(painted.dimensions(), (photo.width(), photo.height()));
    let differs = |column: u32, row: u32| {
        let at = (row * photo.width() + column) as usize * 3;
        painted[(column, row)].0 != photo.rgb()[at..at + 3]
    };
    // The crop is columns 75.17 to 375.83.
    for row in 0..300 {
        assert!((0..75).chain(376..451).all(|column| !differs(column, row)), "row {row}");
    }
    let changed = (0..300).filter(|row| (75..376).any(|column| differs(column, *row))).count();
    assert!(changed > 200, "{changed} rows are changed");
    let admitted = &server.server.metrics.admitted_bytes;
    until("the image's memory is released", || admitted.get() == 0).await;
}

#[tokio::test]
async fn an_overlay_of_a_rotated_photo_is_upright() {
    let server = TestServer::start();
    let size = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().into_rgb8().dimensions();
    let stored = data("pictures/orientation-6.jpg");
    let (_, turned) = overlay(&server, "", stored.clone()).await;
    let (width, height) = size(&stored);
    assert_eq!(size(&turned), (height, width));
}

#[tokio::test]
async fn invalid_requests_for_maps_are_problems() {
    let server = TestServer::start();
    for (name, path) in [
        ("explain_unknown", "/classify?explain=lime"),
        ("explain_twice", "/classify?explain=cam&explain=cam"),
        ("class_alone", "/classify?class=cat"),
        ("class_unknown", "/classify?explain=cam&class=zebra"),
    ] {
        let answer = server.post(path, data("cifar10-cat.png")).await;
        assert_eq!(answer.status, 422, "{path}");
        insta::assert_snapshot!(name, answer.json()["detail"].as_str().unwrap());
    }
    let (answer, _) = overlay(&server, "&class=1&class=2", data("cat.jpg")).await;
    assert_eq!((answer.status, answer.reason()), (422, "invalid-parameter".to_owned()));
}

#[tokio::test]
async fn a_model_without_feature_map_has_no_activation_maps() {
    let whole = default_model();
    let cut = |names: &[&str]| {
        let graph = onnx::OnnxModel::from_bytes(whole.onnx.clone()).unwrap().keep_outputs(names);
        Model { card: Arc::clone(&whole.card), onnx: graph.to_bytes().into() }
    };
    let model = cut(&["logits", "probabilities"]);
    let server = TestServer::with(Options { model, ..Options::default() });
    let answer = server.post("/classify?explain=cam", data("cat.jpg")).await;
    assert_eq!((answer.status, answer.reason()), (422, "not-offered".to_owned()));
    assert!(answer.text.contains("feature_map"), "{answer:?}");
    assert_eq!(server.classify(data("cat.jpg")).await.status, 200);
}
