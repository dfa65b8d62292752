//! Multi-label networks.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use resnetd::model::{Model, Task};
use resnetd::onnx::builder::int_attribute;
use resnetd::onnx::{Element, GraphBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Options, TestServer, resnetd};

const SIDE: usize = 8;
const LABELS: [&str; 3] = ["red", "green", "blue"];
/// The logit of a colour is this factor times its level, minus [`SHIFT`].
const FACTOR: f32 = 10.0;
const SHIFT: f32 = 5.0;
/// Red at 0.8, green at 0.6, blue at 0.2: logits 3, 1 and -3.
const COLOUR: [u8; 3] = [204, 153, 51];

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// The correct probabilities for [`COLOUR`], in descending order.
fn expected() -> [(&'static str, f32); 3] {
    [("red", sigmoid(3.0)), ("green", sigmoid(1.0)), ("blue", sigmoid(-3.0))]
}

/// A foreign graph that ends in these nodes, next to a card with these lines above and below its tables.
fn folder(ends: &[&str], task: &str, hints: &str) -> TempDir {
    let mut graph = GraphBuilder::new("colours");
    let input = graph.input("input", Element::Float, &[3, SIDE, SIDE], "");
    let means = graph.node("GlobalAveragePool", "means", &[&input], []);
    let rows = graph.node("Flatten", "rows", &[&means], [int_attribute("axis", 1)]);
    let factor = graph.constant("factor", &[], &[FACTOR]);
    let shift = graph.constant("shift", &[], &[SHIFT]);
    let scaled = graph.node("Mul", "scaled", &[&rows, &factor], []);
    let mut value = graph.node("Sub", "shifted", &[&scaled, &shift], []);
    for (index, end) in ends.iter().enumerate() {
        let axis = (*end == "Softmax").then(|| int_attribute("axis", 1));
        value = graph.node(end, &format!("end.{index}"), &[&value], axis);
    }
    graph.output("output", &value, &[3], "");
    let folder = tempfile::tempdir().unwrap();
    let graph = graph.finish("somebody's", &[]).to_bytes();
    put(folder.path().join("colours.onnx"), graph);
    let card = format!(
        "labels = {LABELS:?}\n{task}\n[preprocess]\ninput = [{SIDE}, {SIDE}]\nresize = \"exact\"\n\
         interpolation = \"bilinear\"\n[onnx]\n{hints}\n"
    );
    put(folder.path().join("colours.toml"), card);
    folder
}

fn put(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    let mut file = fs::File::create(path).unwrap();
    file.write_all(bytes.as_ref()).unwrap();
}

fn graph_in(folder: &TempDir) -> PathBuf {
    folder.path().join("colours.onnx")
}

fn png() -> Vec<u8> {
    let side = u32::try_from(SIDE).unwrap();
    let photo = image::RgbImage::from_pixel(side, side, image::Rgb(COLOUR));
    let mut png = std::io::Cursor::new(Vec::new());
    photo.write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

fn server(folder: &TempDir) -> TestServer {
    let model = Model::open(graph_in(folder).to_str().unwrap(), None).unwrap();
    assert_eq!(model.card.task, Task::MultiLabel);
    TestServer::with(Options { model, ..Options::default() })
}

/// Label and probability or score of each class in `classes`.
fn pairs(classes: &Value, score: &str) -> Vec<(String, f32)> {
    let pair = |class: &Value| {
        let score = class[score].as_f64().unwrap().to_string().parse().unwrap();
        (class["label"].as_str().unwrap().to_owned(), score)
    };
    classes.as_array().unwrap().iter().map(pair).collect()
}

fn assert_pairs(found: &[(String, f32)], expected: &[(&str, f32)]) {
    let close = found.iter().zip(expected).all(|((label, score), (expected, right))| {
        label == expected && (score - right).abs() < 1e-5
    });
    assert!(close && found.len() == expected.len(), "{found:?} is not {expected:?}");
}

#[tokio::test]
async fn each_class_has_its_own_probability_with_and_without_a_sigmoid_in_the_graph() {
    for (ends, task) in [
        (&["Sigmoid"][..], ""),
        (&["Sigmoid", "Identity"], "task = \"multi-label\""),
        (&[], "task = \"multi-label\""),
    ] {
        let folder = folder(ends, task, "");
        let server = server(&folder);
        let answer = server.classify(png()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_pairs(&pairs(&answer.json()["predictions"], "probability"), &expected());
        let model = server.get("/v1/model").await.json();
        assert_eq!(model["task"], "multi-label");
    }
}

#[tokio::test]
async fn a_threshold_selects_all_classes_that_reach_it_and_candidates_keep_their_probabilities() {
    let folder = folder(&["Sigmoid"], "", "");
    let server = server(&folder);
    let expected = expected();
    for (query, expected) in [
        ("threshold=0.5", &expected[..2]),
        ("threshold=0.99", &[]),
        ("threshold=0.5&top_k=1", &expected[..1]),
        ("top_k=1", &expected[..1]),
        ("labels=blue,green", &expected[1..]),
        ("labels=blue,green&threshold=0.5", &expected[1..2]),
    ] {
        let answer = server.post(&format!("/classify?{query}"), png()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_pairs(&pairs(&answer.json()["predictions"], "probability"), expected);
    }
}

#[tokio::test]
async fn parameters_that_do_not_apply_are_errors() {
    let folder = folder(&["Sigmoid"], "", "");
    let server = server(&folder);
    for (query, expected) in [
        (
            "coverage=0.9",
            "coverage does not apply to colours: prediction sets are for single-label models",
        ),
        ("rollup=wordnet", "rollup does not apply to colours: it sums probabilities"),
    ] {
        let answer = server.post(&format!("/classify?{query}"), png()).await;
        assert_eq!((answer.status, answer.reason()), (422, "not-offered".to_owned()), "{answer:?}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with(expected), "{detail}");
    }
}

/// As in the pipeline of transformers with `problem_type` `multi_label_classification`.
#[tokio::test]
async fn protocols_apply_the_sigmoid_by_default() {
    let folder = folder(&["Sigmoid"], "", "");
    let server = server(&folder);
    let scores = async |query: &str| {
        let answer = server.post(&format!("/{query}"), png()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        pairs(&answer.json(), "score")
    };
    assert_pairs(&scores("").await, &expected());
    assert_pairs(&scores("?function_to_apply=sigmoid").await, &expected());
    assert_pairs(
        &scores("?function_to_apply=none").await,
        &[("red", 3.0), ("green", 1.0), ("blue", -3.0)],
    );
    let powers = [3.0_f32, 1.0, -3.0].map(f32::exp);
    let softmax = powers.map(|power| power / powers.iter().sum::<f32>());
    let softmax: Vec<_> = expected().iter().zip(softmax).map(|((l, _), p)| (*l, p)).collect();
    assert_pairs(&scores("?function_to_apply=softmax").await, &softmax);

    let pixels = COLOUR.repeat(SIDE * SIDE);
    let body = json!({
        "inputs": [{ "name": "pixels", "datatype": "UINT8", "shape": [1, SIDE, SIDE, 3], "data": pixels }],
        "outputs": [{ "name": "probabilities" }],
    });
    let answer = server.post("/v2/models/colours/infer", body.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let values = answer.json()["outputs"][0]["data"].clone();
    for (value, (_, expected)) in values.as_array().unwrap().iter().zip(expected()) {
        assert!((value.as_f64().unwrap() - f64::from(expected)).abs() < 1e-5, "{values}");
    }
}

/// Runs a command with this model; returns whether it succeeded, and its output.
fn run(arguments: &[&str], folder: &TempDir) -> (bool, String) {
    let graph = graph_in(folder);
    let model = ["--model", graph.to_str().unwrap()];
    let output = resnetd(&[arguments, &model].concat());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn contradictions_between_card_graph_and_values_are_errors() {
    let picture_folder = tempfile::tempdir().unwrap();
    let file = picture_folder.path().join("colour.png");
    put(&file, png());
    let classify = ["classify", "--json", "--device", "cpu", file.to_str().unwrap()];
    let multi = "task = \"multi-label\"";
    // Only the values and the card show that these are sigmoids.
    let (ok, printed) = run(&classify, &folder(&["Sigmoid", "Abs"], multi, ""));
    assert!(ok, "{printed}");
    let answer: Value = serde_json::from_str(&printed).unwrap();
    assert_pairs(&pairs(&answer["predictions"], "probability"), &expected());

    for (ends, task, hints, expected) in [
        (
            &["Sigmoid"][..],
            "task = \"single-label\"",
            "",
            "but the graph ends in a sigmoid for each of 3",
        ),
        (
            &["Softmax"],
            multi,
            "",
            "task of the card is \"multi-label\", but the graph ends in a softmax",
        ),
        (
            &["Softmax", "Abs"],
            multi,
            "",
            "the scores of each test image are not negative and sum to 1",
        ),
        (&["Sigmoid", "Abs"], "", "", "set task = \"multi-label\" in the card if an image"),
        (
            &[],
            multi,
            "scores = \"sigmoid\"",
            "the score should be a probability, because onnx.scores",
        ),
        (
            &[],
            "task = \"many\"",
            "",
            "unknown variant `many`, expected `single-label` or `multi-label`",
        ),
    ] {
        let (ok, printed) = run(&classify, &folder(ends, task, hints));
        assert!(!ok && printed.contains(expected), "{expected}: {printed}");
    }
}

#[test]
fn commands_show_classes_above_a_threshold_and_reject_accuracy() {
    let model = folder(&["Sigmoid"], "", "");
    let images = tempfile::tempdir().unwrap();
    fs::create_dir(images.path().join("red")).unwrap();
    let file = images.path().join("red/colour.png");
    put(&file, png());
    let (images, file) = (images.path().to_str().unwrap(), file.to_str().unwrap());

    let classify = ["classify", "--device", "cpu", file, "--threshold"];
    let (ok, printed) = run(&[&classify[..], &["0.5"]].concat(), &model);
    assert!(ok && printed.contains("95.26 %") && printed.contains("73.11 %"), "{printed}");
    assert!(!printed.contains("blue"), "{printed}");
    let (ok, printed) = run(&[&classify[..], &["0.99"]].concat(), &model);
    assert!(ok && printed.contains("no class reaches the threshold"), "{printed}");
    let (ok, printed) = run(&[&classify[..], &["2"]].concat(), &model);
    assert!(!ok && printed.contains("it must be a probability from 0 to 1"), "{printed}");
    let (ok, printed) = run(&["classify", "--device", "cpu", file, "--coverage", "0.9"], &model);
    assert!(!ok && printed.contains("coverage does not apply to colours"), "{printed}");

    for command in [&["eval"][..], &["eval", "--calibrate"]] {
        let (ok, printed) =
            run(&[command, &["--device", "cpu", "--data", images]].concat(), &model);
        assert!(
            !ok && printed.contains("does not apply to colours, which is a multi-label network"),
            "{printed}"
        );
    }

    // The exported file has the served graph and card.
    let out = model.path().join("out.onnx");
    let (ok, printed) = run(&["export", "--output", out.to_str().unwrap()], &model);
    assert!(ok, "{printed}");
    let exported = Model::open(out.to_str().unwrap(), None).unwrap();
    assert_eq!(exported.card.task, Task::MultiLabel);
}

/// A network built from weights and a card.
#[tokio::test]
async fn weights_with_such_a_card_get_the_sigmoid_of_each_logit() {
    let single = crate::support::seeded::model("resnet20-b", 3, [32, 32]);
    let multi = crate::support::seeded::model_of("resnet20-b", 3, [32, 32], Task::MultiLabel);
    let photo = crate::support::data("cat.jpg");
    let mut logits = Vec::new();
    for (model, name) in [(single, "seeded-resnet20-b"), (multi, "seeded-resnet20-b")] {
        let server = TestServer::with(Options { model, ..Options::default() });
        let path = format!("/models/{name}?function_to_apply=none");
        logits.push(pairs(&server.post(&path, photo.clone()).await.json(), "score"));
        if logits.len() == 2 {
            let found = server.post("/classify", photo.clone()).await.json();
            let found = pairs(&found["predictions"], "probability");
            let expected: Vec<_> =
                logits[1].iter().map(|(label, logit)| (&**label, sigmoid(*logit))).collect();
            assert_pairs(&found, &expected);
        }
    }
    assert_eq!(logits[0], logits[1]);
}

#[test]
fn a_calibration_of_a_multi_label_network_is_an_error() {
    let card = "name = \"pets\"\narchitecture = \"resnet20\"\ntask = \"multi-label\"\nlabels = [\"cat\", \"dog\"]\n";
    let card = format!(
        "{card}[preprocess]\ninput = [32, 32]\nresize = \"exact\"\ninterpolation = \"bilinear\"\n\
         mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n"
    );
    assert_eq!(resnetd::model::ModelCard::from_toml(&card).unwrap().task, Task::MultiLabel);
    let calibrated = format!(
        "{card}[calibration.fp32]\ntemperature = 1.5\ndataset = \"photos\"\ntemperature_images = 25\n\
         threshold_images = 25\nmeasured_images = 50\nece_before = 0.1\nece_after = 0.05\n\
         command = \"resnetd eval --calibrate\"\nsets = []\n"
    );
    let error = resnetd::model::ModelCard::from_toml(&calibrated).unwrap_err().to_string();
    assert!(
        error.contains("task is \"multi-label\", but the card has calibration.fp32"),
        "{error}"
    );
}
