//! Temperature scaling and prediction sets, and the command that fits them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use reqwest::multipart::{Form, Part};
use resnetd::device::Device;
use resnetd::model::{
    Calibration, CoverageThreshold, EMBEDDED, Model, ModelCard, Precision, PrecisionChoice,
};
use serde_json::Value;

use crate::support::{Answer, Options, TestServer, data, default_model, engines, resnetd};

const SAMPLE: &str = "tests/data/cifar10-sample.parquet";

/// A valid calibration.
fn calibration(temperature: f64) -> Calibration {
    let set = |coverage, threshold| CoverageThreshold {
        coverage,
        threshold,
        found: 0.97,
        mean_size: 1.4,
    };
    Calibration {
        temperature,
        dataset: "photos".to_owned(),
        temperature_images: 250,
        threshold_images: 250,
        measured_images: 500,
        ece_before: 0.1,
        ece_after: 0.02,
        command: "resnetd eval --calibrate".to_owned(),
        sets: vec![set(0.5, 0.9), set(0.9, 0.2), set(0.95, 0.1)],
    }
}

/// The default model in float32 with only this calibration.
fn calibrated(calibration: Option<Calibration>) -> Model {
    let model = default_model();
    let calibration: BTreeMap<_, _> =
        calibration.map(|calibration| (Precision::Fp32, calibration)).into_iter().collect();
    let card = ModelCard { calibration, ..model.card.as_ref().clone() };
    Model { card: card.into(), onnx: model.onnx }
}

fn serve(calibration: Option<Calibration>) -> TestServer {
    TestServer::with(Options { model: calibrated(calibration), ..Options::default() })
}

/// A server whose network returns these logits, with temperature 1.
fn constant_logits(logits: [f32; 10]) -> TestServer {
    let engines = Some(vec![engines::constant_logits(logits.to_vec())]);
    let model = calibrated(Some(calibration(1.0)));
    TestServer::with(Options { model, engines, ..Options::default() })
}

async fn classes(server: &TestServer, query: &str) -> Vec<(String, f64)> {
    let answer = server.post(&format!("/classify?{query}"), data("cat.jpg")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    pairs(&answer.json())
}

fn pairs(body: &Value) -> Vec<(String, f64)> {
    let pair = |found: &Value| {
        (found["label"].as_str().unwrap().to_owned(), found["probability"].as_f64().unwrap())
    };
    body["predictions"].as_array().unwrap().iter().map(pair).collect()
}

#[tokio::test]
async fn a_temperature_lowers_confidence_and_keeps_order_and_logits() {
    let (plain, warm) = (serve(None), serve(Some(calibration(2.0))));
    let before = classes(&plain, "top_k=10").await;
    let after = classes(&warm, "top_k=10").await;
    let labels = |classes: &[(String, f64)]| -> Vec<String> {
        classes.iter().map(|(label, _)| label.clone()).collect()
    };
    assert_eq!(labels(&before), labels(&after));
    assert!(after[0].1 < before[0].1);
    assert!((after.iter().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-5);
    // p^(1/2), normalised.
    let sum: f64 = before.iter().map(|(_, p)| p.sqrt()).sum();
    for ((label, before), (_, after)) in before.iter().zip(&after) {
        assert!((before.sqrt() / sum - after).abs() < 1e-5, "{label}");
    }

    // Probabilities of candidates use the same temperature.
    let two = classes(&warm, "labels=dog,ship").await;
    let of = |label: &str| after.iter().find(|(known, _)| known == label).unwrap().1;
    assert!((two[0].1 - of("dog") / (of("dog") + of("ship"))).abs() < 1e-5, "{two:?}");
    assert_eq!(classes(&warm, "threshold=0").await.len(), 5);

    let logit = async |server: &TestServer| {
        let answer = server.post("/classify?explain=cam", data("cat.jpg")).await;
        answer.json()["explanation"]["maps"][0]["logit"].as_f64().unwrap()
    };
    assert!((logit(&plain).await - logit(&warm).await).abs() < 1e-9);

    let shown = warm.get("/v1/model").await.json()["calibration"].clone();
    assert_eq!(shown["fp32"]["temperature"], 2.0);
    assert!(plain.get("/v1/model").await.json().get("calibration").is_none());
}

#[tokio::test]
async fn without_a_calibration_the_probabilities_are_those_of_the_graph() {
    let logits = [0.3_f32, 2.7, -1.1, 0.0, 0.4, 2.6, -3.0, 1.0, 0.9, -0.2];
    // Not a softmax, to check that the graph's output is returned unchanged.
    let odd: Vec<f32> = (1_u8..=10).map(|class| 1.0 / f32::from(class + 7)).collect();
    let (row, probabilities) = (logits.to_vec(), odd.clone());
    let engine: resnetd::pipeline::run::Engine = Box::new(move |batch| {
        use resnetd::pipeline::Output;
        use resnetd::pipeline::run::Outputs;
        let of = |row: &[f32]| row.repeat(batch.len());
        let scores = vec![(Output::Logits, of(&row)), (Output::Probabilities, of(&probabilities))];
        Ok(Outputs::new(batch.len(), scores))
    });
    let model = calibrated(None);
    let server =
        TestServer::with(Options { model, engines: Some(vec![engine]), ..Options::default() });
    let found = classes(&server, "top_k=10").await;
    #[expect(clippy::cast_possible_truncation, reason = "it was an f32")]
    let found: Vec<u32> = found.iter().map(|(_, p)| (*p as f32).to_bits()).collect();
    assert_eq!(found, odd.iter().map(|p| p.to_bits()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_prediction_set_covers_and_a_large_set_abstains() {
    // Probabilities of 0.47, 0.28, 0.17 and seven of about 0.01.
    let server = constant_logits([0.0, 4.0, 0.0, 3.5, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0]);
    let ask = async |query: &str| -> Value {
        let answer = server.post(&format!("/classify?{query}"), data("cat.jpg")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let labels =
        |body: &Value| -> Vec<String> { pairs(body).into_iter().map(|(label, _)| label).collect() };
    let sure = ask("coverage=0.95").await;
    assert_eq!(labels(&sure), ["automobile", "cat", "horse"]);
    let coverage = serde_json::json!({ "asked": 0.95, "promised": 0.95, "found": 0.97 });
    assert_eq!(sure["coverage"], coverage);
    assert!(sure.get("abstained").is_none(), "{sure}");

    let between = ask("coverage=0.8&max_set=2").await;
    assert_eq!(labels(&between), ["automobile", "cat"]);
    assert_eq!(between["coverage"]["promised"], 0.9, "the next larger coverage");
    assert_eq!(between["abstained"], false);
    assert_eq!(ask("coverage=0.8&max_set=1").await["abstained"], true);
    assert_eq!(labels(&ask("coverage=0.5").await), ["automobile"], "never empty");

    let part = |name: &'static str| Part::bytes(data(name)).file_name(name);
    let form = Form::new().part("a", part("cat.jpg")).part("b", part("README.md"));
    let request = server.client.post(server.at("/classify?coverage=0.9&max_set=1"));
    let body = Answer::of(request.multipart(form).send().await.unwrap()).await.json();
    assert_eq!(body["results"][0]["abstained"], true);
    assert_eq!(body["results"][1]["reason"], "not-an-image");
}

#[tokio::test]
async fn an_unavailable_coverage_is_an_error_with_the_available_range() {
    let server = serve(Some(calibration(1.0)));
    let mut answers = Vec::new();
    for query in [
        "coverage=0.99",
        "coverage=0.2",
        "coverage=95",
        "coverage=0.9&top_k=3",
        "coverage=0.9&labels=cat,dog",
        "coverage=0.9&threshold=0.5",
        "coverage=0.9&max_set=0",
        "max_set=1",
    ] {
        let answer = server.post(&format!("/classify?{query}"), data("cat.jpg")).await;
        assert_eq!((answer.status, &*answer.reason()), (422, "invalid-parameter"), "{query}");
        answers.push(format!("{query}\n    {}", answer.json()["detail"].as_str().unwrap()));
    }
    let server = serve(None);
    let answer = server.post("/classify?coverage=0.9", data("cat.jpg")).await;
    assert_eq!((answer.status, answer.reason()), (422, "not-offered".to_owned()));
    answers.push(format!("uncalibrated\n    {}", answer.json()["detail"].as_str().unwrap()));
    insta::assert_snapshot!("coverage_wrong", answers.join("\n"));
}

/// A folder with an embedded model's weights and its card, without the calibration.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new("models/cifar10-resnet20");
    fs::copy(from.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let card = fs::read_to_string(from.join("card.toml")).unwrap();
    let card = card.split("\n[calibration").next().unwrap();
    put(&folder.path().join("card.toml"), &format!("# mine\n{card}"));
    folder
}

fn put(path: &Path, text: &str) {
    std::io::Write::write_all(&mut fs::File::create(path).unwrap(), text.as_bytes()).unwrap();
}

fn stdout_of(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr_of(output: &std::process::Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_calibration_is_inserted_into_the_card_and_the_rest_is_unchanged() {
    let folder = folder();
    let (model, card) = (folder.path(), folder.path().join("card.toml"));
    let before = fs::read_to_string(&card).unwrap();
    let model = model.to_str().unwrap();
    let file = card.to_str().unwrap();
    let eval = |more: &[&str]| {
        let common = ["eval", "--calibrate", "--model", model, "--data", SAMPLE];
        resnetd(&[&common, more].concat())
    };
    let classify = |more: &[&str]| {
        let common = ["classify", "--json", "--model", model, "tests/data/cat.jpg"];
        resnetd(&[&common, more].concat())
    };
    assert!(stderr_of(&classify(&["--coverage", "0.9"])).contains("eval --calibrate"));
    // The digest is that of the graph with its card, which changes.
    let predictions = |output: &std::process::Output| {
        serde_json::from_str::<Value>(&stdout_of(output)).unwrap()["predictions"].clone()
    };
    let plain = predictions(&classify(&[]));

    let json = stdout_of(&eval(&["--json", "--write-card", file, "--dataset", "a sample"]));
    let fitted: Value = serde_json::from_str(&json).unwrap();
    let after = fs::read_to_string(&card).unwrap();
    assert!(after.starts_with(before.trim_end()), "the existing lines are unchanged");
    let written = ModelCard::from_toml(&after).unwrap();
    let calibration = &written.calibration[&Precision::Fp32];
    assert_eq!(fitted["temperature"], calibration.temperature);
    assert_eq!(calibration.dataset, "a sample");
    let images =
        [calibration.temperature_images, calibration.threshold_images, calibration.measured_images];
    assert_eq!(images.iter().sum::<usize>(), 100);
    assert_eq!(fitted["images"], 100);
    assert!(calibration.command.contains("--precision fp32"), "{}", calibration.command);
    assert!(!calibration.command.contains("/tmp"), "{}", calibration.command);
    assert!(fitted["nll"][1].as_f64() < fitted["nll"][0].as_f64(), "{fitted}");

    let warm = predictions(&classify(&[]));
    assert_ne!(warm, plain);
    assert_eq!(predictions(&classify(&["--calibrated", "off"])), plain, "and back");
    let set: Value = serde_json::from_str(&stdout_of(&classify(&["--coverage", "0.9"]))).unwrap();
    assert_eq!(set["coverage"]["promised"], 0.9);
    assert_eq!(set["predictions"][0]["label"], "cat");
    let words = stderr_of(&classify(&["--coverage", "0.9", "--calibrated", "off"]));
    assert!(words.contains("no calibration for fp32"), "{words}");
    assert!(stderr_of(&classify(&["--coverage", "0.999"])).contains("from 0.5 to"));
    assert!(stderr_of(&classify(&["--coverage", "0.9", "-k", "3"])).contains("--top-k"));

    let words = stderr_of(&eval(&["--write-card", file]));
    assert!(words.contains("--replace"), "{words}");
    assert_eq!(fs::read_to_string(&card).unwrap(), after);
    // The second fit does not use the first one: the numbers are the same, only the name differs.
    stdout_of(&eval(&["--write-card", file, "--replace", "--dataset", "the sample again"]));
    let again = fs::read_to_string(&card).unwrap();
    assert_eq!(again, after.replace("a sample", "the sample again"));
}

#[test]
fn a_wrong_or_missing_card_is_rejected_before_measuring() {
    let eval = |card: &str| {
        let common = ["eval", "--calibrate", "--precision", "fp32", "--data", SAMPLE];
        stderr_of(&resnetd(&[&common[..], &["--write-card", card]].concat()))
    };
    let words = eval("models/cifar10-resnet20/card.toml");
    assert!(words.contains("the card of cifar10-resnet20, but the model is"), "{words}");
    assert!(eval("nowhere/card.toml").contains("cannot read the card nowhere/card.toml"));
    let words = stderr_of(&resnetd(&["eval", "--data", SAMPLE, "--write-card", "card.toml"]));
    assert!(words.contains("--calibrate"), "{words}");
}

#[test]
fn an_exported_graph_keeps_its_calibration_and_can_be_given_one() {
    let folder = folder();
    let model = folder.path().to_str().unwrap();
    let file = folder.path().join("exported.onnx");
    let file = file.to_str().unwrap();
    stdout_of(&resnetd(&["export", "--model", model, "-o", file]));
    let eval = ["eval", "--calibrate", "--model", file, "--data", SAMPLE, "--write-card", file];
    stdout_of(&resnetd(&eval));
    let classify = ["classify", "--coverage", "0.9", "tests/data/cat.jpg", "--model", file];
    assert!(stdout_of(&resnetd(&classify)).contains("prediction set at 90 % coverage"));
    assert!(stderr_of(&resnetd(&eval)).contains("--replace"));

    // The calibration of the int8 variant is in the card next to the weights, and is exported too.
    let int8 = folder.path().join("int8.onnx");
    let int8 = int8.to_str().unwrap();
    stdout_of(&resnetd(&["export", "--precision", "int8", "-o", int8]));
    let card = Model::open(int8, None).unwrap().card;
    assert_eq!(card.precision, Precision::Int8);
    assert!(card.calibration_in_use().is_some());
}

#[test]
fn the_embedded_models_are_calibrated_in_int8_and_float32() {
    for embedded in EMBEDDED {
        let only = PrecisionChoice::Only(Precision::Fp32);
        for choice in [PrecisionChoice::Auto, only] {
            let chosen = Model::open_as(embedded.name, None, choice, Device::Cpu).unwrap();
            let card = chosen.model.card;
            let found = card.calibration_in_use().unwrap();
            assert!(found.ece_after < found.ece_before, "{}: {found:?}", card.name);
            assert_eq!(found.range(), Some((0.5, 0.995)), "{}", card.name);
            for set in &found.sets {
                // Four standard errors of both parts, because eighty coverages are checked.
                let both = 1.0 / 5_000.0 + 1.0 / 2_500.0;
                let error = 4.0 * (set.coverage * (1.0 - set.coverage) * both).sqrt();
                assert!(set.found > set.coverage - error, "{}: {set:?}", card.name);
            }
        }
    }
}
