//! Weights and graphs of other programs: folders of their libraries, weight files, ONNX.

use std::fs;
use std::path::Path;

use resnetd::graph::{Network, arch};
use resnetd::model::{Interpolation, Resize};
use resnetd::model::{Model, Task, imagenet};
use resnetd::onnx::builder::int_attribute;
use resnetd::onnx::{Element, GraphBuilder};
use resnetd::pipeline::Output;
use resnetd::pipeline::run::{Batch, InputShape, Session, SessionPlan};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;
use tempfile::TempDir;

use crate::parity::{Golden, assert_golden};
use crate::support::process::Process;
use crate::support::{library, resnetd, seeded};

fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    let mut file = fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, bytes.as_ref()).unwrap();
}

/// Writes seeded tensors of these names and shapes as `model.safetensors`.
fn put_weights(folder: &Path, specs: impl Iterator<Item = (String, Vec<usize>)>) {
    let tensors: Vec<_> = specs
        .map(|(name, shape)| {
            let values = seeded::tensor(&name, &shape);
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    put(&folder.join("model.safetensors"), safetensors::serialize(views, None).unwrap());
}

/// The tensors of a network of transformers, from a list of names and shapes, with this many classes.
fn put_transformers(folder: &Path, names: &str, classes: usize) {
    let specs = names.lines().map(|line| {
        let (name, shape) = line.split_once(' ').unwrap();
        let mut shape: Vec<_> = shape.split('x').map(|size| size.parse().unwrap()).collect();
        if name.starts_with("classifier.") {
            shape[0] = classes;
        }
        (name.to_owned(), shape)
    });
    put_weights(folder, specs);
}

fn put_seeded(folder: &Path, architecture: &str, classes: usize) {
    let specs = Network::expand(arch::find(architecture).unwrap(), classes).tensors();
    put_weights(folder, specs.into_iter().map(|spec| (spec.name, spec.shape)));
}

fn open(path: &Path) -> Model {
    Model::open(path.to_str().unwrap(), None).unwrap()
}

fn refused(path: &Path, arch: Option<&str>) -> String {
    Model::open(path.to_str().unwrap(), arch).unwrap_err().to_string()
}

/// Folders as `save_pretrained` of transformers writes them, with logits computed by transformers.
#[test]
fn a_folder_of_transformers_has_the_logits_of_transformers() {
    for (golden, architecture) in [
        (include_str!("../golden/transformers-resnet50.json"), "resnet50"),
        (include_str!("../golden/transformers-resnet50-v1.json"), "resnet50-v1"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let names = include_str!("../golden/transformers-resnet50.txt");
        put_transformers(folder.path(), names, 1000);
        let parsed: serde_json::Value = serde_json::from_str(golden).unwrap();
        put(&folder.path().join("config.json"), parsed["config"].to_string());
        let preprocessor = json!({
            "image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 64},
            "crop_pct": 0.875, "resample": 3, "do_normalize": true,
            "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
        });
        put(&folder.path().join("preprocessor_config.json"), preprocessor.to_string());

        let model = open(folder.path());
        assert_eq!(model.card.architecture, architecture);
        assert_eq!(model.card.preprocess.interpolation, Interpolation::Bicubic);
        assert_eq!(model.card.labels[281], "tabby");
        assert_eq!(model.card.wordnet_ids[281], "n02123045");
        assert_golden(&model, &serde_json::from_str::<Golden>(golden).unwrap(), architecture);

        let mut config = parsed["config"].clone();
        for (problem_type, task) in [
            ("single_label_classification", Task::SingleLabel),
            ("multi_label_classification", Task::MultiLabel),
        ] {
            config["problem_type"] = json!(problem_type);
            put(&folder.path().join("config.json"), config.to_string());
            assert_eq!(open(folder.path()).card.task, task);
        }
        config["problem_type"] = json!("regression");
        put(&folder.path().join("config.json"), config.to_string());
        let error = refused(folder.path(), None);
        assert!(error.contains("problem_type is \"regression\"; it must be"), "{error}");
    }
}

#[test]
fn networks_with_other_options_of_transformers_answer_as_transformers_does() {
    let resnet50 = include_str!("../golden/transformers-resnet50.txt");
    let resnet18 = include_str!("../golden/transformers-resnet18-stride64.txt");
    for (golden, architecture, names) in [
        (include_str!("../golden/transformers-resnet50-gelu.json"), "resnet50-gelu", resnet50),
        (
            include_str!("../golden/transformers-resnet50-stride64.json"),
            "resnet50-stride64",
            resnet50,
        ),
        (
            include_str!("../golden/transformers-resnet50-v1-stride64-silu.json"),
            "resnet50-v1-stride64-silu",
            resnet50,
        ),
        (
            include_str!("../golden/transformers-resnet18-stride64-gelu.json"),
            "resnet18-stride64-gelu",
            resnet18,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        put_transformers(folder.path(), names, 10);
        let parsed: serde_json::Value = serde_json::from_str(golden).unwrap();
        put(&folder.path().join("config.json"), parsed["config"].to_string());
        let preprocessor = json!({
            "image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64},
            "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
        });
        put(&folder.path().join("preprocessor_config.json"), preprocessor.to_string());

        let model = open(folder.path());
        assert_eq!(model.card.architecture, architecture);
        assert_golden(&model, &serde_json::from_str::<Golden>(golden).unwrap(), architecture);

        let mut config = parsed["config"].clone();
        config["hidden_act"] = json!("gelu_new");
        put(&folder.path().join("config.json"), config.to_string());
        let error = refused(folder.path(), None);
        assert!(error.contains("hidden_act is \"gelu_new\"; it must be"), "{error}");
    }
}

#[test]
fn a_folder_of_timm_is_served_with_its_own_preprocessing_and_names() {
    let folder = tempfile::tempdir().unwrap();
    put_seeded(folder.path(), "resnet10t", 3);
    let mut config = json!({
        "architecture": "resnet10t", "num_classes": 3, "label_names": ["cat", "dog", "ship"],
        "pretrained_cfg": {
            "input_size": [3, 176, 176], "crop_pct": 0.95, "crop_mode": "center",
            "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
        },
    });
    put(&folder.path().join("config.json"), config.to_string());
    let card = open(folder.path()).card;
    assert_eq!(
        (card.architecture.as_str(), &card.labels[..]),
        ("resnet10t", &["cat", "dog", "ship"].map(str::to_owned)[..])
    );
    assert_eq!((card.preprocess.input, card.preprocess.crop_ratio), ([176, 176], 0.95));
    assert_eq!((card.preprocess.resize, card.preprocess.mean), (Resize::ShorterSide, [0.5; 3]));

    config["architecture"] = json!("vit_base");
    put(&folder.path().join("config.json"), config.to_string());
    let error = refused(folder.path(), None);
    assert!(error.contains("config.json: unknown architecture \"vit_base\""), "{error}");
}

#[test]
fn weights_without_card_are_detected_or_need_arch() {
    let folder = tempfile::tempdir().unwrap();
    put_seeded(folder.path(), "resnet18", 1000);
    let file = folder.path().join("model.safetensors");
    for model in [open(&file), open(folder.path())] {
        assert_eq!(model.card.architecture, "resnet18");
        assert_eq!(model.card.labels, imagenet::labels());
    }

    put_seeded(folder.path(), "plain20", 10);
    let error = refused(&file, None);
    assert!(error.contains("fit resnet20 and plain20"), "{error}");
    assert!(error.contains("--arch"), "{error}");
    let told = Model::open(file.to_str().unwrap(), Some("plain20")).unwrap();
    assert_eq!(told.card.architecture, "plain20");
    assert!(refused(&file, Some("resnet18")).contains("do not fit"));

    let other = Model::open("cifar10-resnet20", Some("resnet50")).unwrap_err().to_string();
    assert_eq!(
        other,
        "cifar10-resnet20 has the architecture resnet20, not resnet50; remove --arch"
    );
    let empty = tempfile::tempdir().unwrap();
    assert!(
        refused(empty.path(), None).contains("contains no model; looked for model.safetensors")
    );
}

/// A card next to a weights file has the same name.
#[test]
fn a_card_next_to_weights_sets_their_labels() {
    let folder = tempfile::tempdir().unwrap();
    put_seeded(folder.path(), "resnet20", 2);
    fs::rename(folder.path().join("model.safetensors"), folder.path().join("pets.bin")).unwrap();
    let card = r#"
        name = "pets"
        architecture = "resnet20"
        labels = ["cat", "dog"]
        [preprocess]
        input = [32, 32]
        resize = "exact"
        interpolation = "bilinear"
        mean = [0.5, 0.5, 0.5]
        std = [0.5, 0.5, 0.5]
    "#;
    put(&folder.path().join("pets.toml"), card);
    let model = open(&folder.path().join("pets.bin"));
    assert_eq!(model.card.labels, ["cat", "dog"]);
}

/// A foreign graph whose three scores are the means of its input's channels, so that they can be predicted;
/// its input is `size` pixels high and wide.
struct Means {
    input: &'static str,
    element: Element,
    channels_last: bool,
    output: &'static str,
    /// Nodes after the means, each with one input.
    ends: &'static [&'static str],
    /// How many of the three means are scores.
    classes: usize,
    batch: Option<usize>,
}

impl Default for Means {
    fn default() -> Self {
        Self {
            input: "input",
            element: Element::Float,
            channels_last: false,
            output: "output",
            ends: &[],
            classes: 3,
            batch: None,
        }
    }
}

const SIDE: usize = 8;

impl Means {
    fn onnx(&self) -> Vec<u8> {
        let mut graph = GraphBuilder::new("means");
        let shape = if self.channels_last { [SIDE, SIDE, 3] } else { [3, SIDE, SIDE] };
        let mut value = graph.input(self.input, self.element, &shape, "");
        if self.element == Element::Uint8 {
            value = graph.node("Cast", "float", &[&value], [int_attribute("to", 1)]);
        }
        if self.channels_last {
            let order = resnetd::onnx::builder::ints_attribute("perm", &[0, 3, 1, 2]);
            value = graph.node("Transpose", "channels_first", &[&value], [order]);
        }
        value = graph.node("GlobalAveragePool", "means", &[&value], []);
        value = graph.node("Flatten", "rows", &[&value], [int_attribute("axis", 1)]);
        if self.classes == 1 {
            let axis = resnetd::onnx::builder::ints_attribute("axes", &[1]);
            value = graph.node("ReduceMean", "mean", &[&value], [axis]);
        }
        for (index, end) in self.ends.iter().enumerate() {
            let attribute = match *end {
                "Softmax" | "Flatten" => Some(int_attribute("axis", 1)),
                "Cast" => Some(int_attribute("to", 1)),
                _ => None,
            };
            value = graph.node(end, &format!("end.{index}"), &[&value], attribute);
        }
        graph.output(self.output, &value, &[self.classes], "");
        if let Some(batch) = self.batch {
            graph.fix_batch(batch);
        }
        graph.finish("somebody's", &[]).to_bytes()
    }

    /// The graph next to a card with these lines for preprocessing and hints.
    fn with_card(&self, preprocess: &str, hints: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        put(&folder.path().join("means.onnx"), self.onnx());
        let labels = ["red", "green", "blue"][..self.classes].to_vec();
        let card = format!(
            "labels = {labels:?}\n[preprocess]\ninput = [{SIDE}, {SIDE}]\n\
             resize = \"exact\"\ninterpolation = \"bilinear\"\n{preprocess}\n[onnx]\n{hints}\n"
        );
        put(&folder.path().join("means.toml"), card);
        folder
    }

    fn rejection(&self, preprocess: &str, hints: &str) -> String {
        refused(&self.with_card(preprocess, hints).path().join("means.onnx"), None)
    }
}

/// Scores of images of one colour each.
fn scores(model: &Model, output: Output, colours: &[[u8; 3]]) -> Vec<Vec<f32>> {
    let plan = SessionPlan::on_cpu(1);
    let mut session = Session::open(library(), &model.onnx, plan, &[output]).unwrap();
    let shape = InputShape::of(&model.card.preprocess);
    let mut batch = Batch::with_capacity(shape, colours.len());
    for colour in colours {
        let pixels = colour.repeat(SIDE * SIDE);
        let size = model.card.preprocess.input;
        batch.push(&resnetd::pipeline::preprocess::Pixels::from_raw(size, pixels).unwrap());
    }
    let outputs = session.run(&batch).unwrap();
    (0..colours.len()).map(|image| outputs.row(output, image).to_vec()).collect()
}

fn assert_close(found: &[f32], expected: [f32; 3]) {
    let close = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-4);
    assert!(close && found.len() == 3, "{found:?} is not {expected:?}");
}

/// The input of a foreign graph is what its card describes, for all layouts, types and names.
#[test]
fn foreign_graphs_get_the_input_that_the_card_describes() {
    let normalized = "mean = [0.2, 0.4, 0.6]\nstd = [0.5, 0.25, 0.1]";
    let colour = [51, 102, 255]; // 0.2, 0.4 and 1.0
    let cases: [(Means, &str, &str, [f32; 3]); 8] = [
        (Means::default(), normalized, "", [0.0, 0.0, 4.0]),
        (Means { channels_last: true, ..Means::default() }, normalized, "", [0.0, 0.0, 4.0]),
        (Means::default(), normalized, "channels = \"bgr\"", [4.0, 0.0, 0.0]),
        (Means::default(), "", "", [0.2, 0.4, 1.0]),
        (Means::default(), "", "scale = 1.0", [51.0, 102.0, 255.0]),
        (Means::default(), "mean = [1, 2, 5]\nstd = [2, 2, 2]", "scale = 1.0", [25.0, 50.0, 125.0]),
        (Means { element: Element::Uint8, ..Means::default() }, "", "", [51.0, 102.0, 255.0]),
        (
            Means { input: "pixels", output: "logits", ..Means::default() },
            normalized,
            "",
            [0.0, 0.0, 4.0],
        ),
    ];
    for (means, preprocess, hints, expected) in cases {
        let folder = means.with_card(preprocess, hints);
        let model = open(&folder.path().join("means.onnx"));
        assert_close(&scores(&model, Output::Logits, &[colour])[0], expected);
    }
}

fn softmax(scores: [f32; 3]) -> [f32; 3] {
    let powers = scores.map(f32::exp);
    powers.map(|power| power / powers.iter().sum::<f32>())
}

/// Exporters and converters add casts and reshapes after the softmax.
#[test]
fn scores_that_are_probabilities_are_unchanged() {
    for ends in [
        &["Softmax"][..],
        &["Softmax", "Identity"],
        &["Softmax", "Cast"],
        &["Softmax", "Clip", "Flatten", "Identity"],
    ] {
        let means = Means { ends, output: "probabilities", ..Means::default() };
        let folder = means.with_card("", "");
        let model = open(&folder.path().join("means.onnx"));
        let expected = softmax([0.2, 0.4, 1.0]);
        let colour = &[[51, 102, 255]];
        assert_close(&scores(&model, Output::Probabilities, colour)[0], expected);
        assert_close(&scores(&model, Output::Logits, colour)[0], expected.map(f32::ln));
    }
}

/// Label and probability of each class of `tests/data/cat.jpg`, or the command's error.
fn classified(folder: &TempDir) -> Result<Vec<(String, f32)>, String> {
    let graph = folder.path().join("means.onnx");
    let arguments = ["classify", "--json", "--device", "cpu", "tests/data/cat.jpg", "--model"];
    let output = resnetd(&[&arguments[..], &[graph.to_str().unwrap()]].concat());
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let classes = answer["predictions"].as_array().unwrap().iter().map(|class| {
        let probability = class["probability"].as_f64().unwrap().to_string();
        (class["label"].as_str().unwrap().to_owned(), probability.parse().unwrap())
    });
    Ok(classes.collect())
}

/// No node of this graph shows that its scores are probabilities; only their values do.
#[test]
fn probabilities_are_detected_from_the_values() {
    let hidden = Means { ends: &["Softmax", "Abs"], ..Means::default() };
    let explicit = Means { ends: &["Softmax"], ..Means::default() };
    assert_eq!(classified(&hidden.with_card("", "")), classified(&explicit.with_card("", "")));
    let error = classified(&hidden.with_card("", "scores = \"logits\"")).unwrap_err();
    assert!(error.contains("onnx.scores of the card is \"logits\", but the scores"), "{error}");
}

#[test]
fn scores_that_contradict_the_card_are_rejected() {
    let means = Means::default();
    let error = classified(&means.with_card("", "")).unwrap_err();
    assert!(error.contains("do not sum to 1, as after a sigmoid"), "{error}");
    assert!(classified(&means.with_card("", "scores = \"logits\"")).is_ok());
    let error = classified(&means.with_card("", "scores = \"probabilities\"")).unwrap_err();
    assert!(error.contains("because onnx.scores of the card declares it"), "{error}");
}

/// For a network with one class, the probability of the class and of its absence.
#[test]
fn a_network_of_one_class_answers_two_probabilities() {
    let one = |ends| Means { ends, classes: 1, ..Means::default() };
    let logit = classified(&one(&[]).with_card("", "scores = \"logits\"")).unwrap();
    let sigmoid = classified(&one(&["Sigmoid"]).with_card("", "")).unwrap();
    assert_eq!(logit.len(), 2);
    for ((label, found), (expected_label, expected)) in logit.iter().zip(&sigmoid) {
        assert_eq!(label, expected_label);
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
    let [red, not_red] =
        ["red", "not red"].map(|label| sigmoid.iter().find(|(found, _)| found == label).unwrap().1);
    assert!(red > 0.5 && red < 0.74 && (red + not_red - 1.0).abs() < 1e-6, "{red} {not_red}");
    let error = one(&["Softmax"]).rejection("", "");
    assert!(error.contains("the softmax of one class, which is always 1"), "{error}");
    let error = classified(&one(&[]).with_card("", "")).unwrap_err();
    assert!(error.contains("the card does not declare its kind"), "{error}");
}

/// The same for weights whose classifier has one row.
#[test]
fn weights_of_one_class_have_the_sigmoid_of_its_logit() {
    let folder = tempfile::tempdir().unwrap();
    put_seeded(folder.path(), "resnet20-b", 1);
    let model = open(folder.path());
    assert_eq!(model.card.labels, ["class 0", "not class 0"]);
    let graph = model.graph();
    let classifier = graph.graph().initializer.iter().find(|it| it.name() == "fc.weight").unwrap();
    assert_eq!(classifier.dims[0], 2);
    assert!(classifier.floats().skip(64).all(|weight| weight == 0.0));
}

fn exported(name: &str) -> Vec<u8> {
    fs::read(Path::new("tests/data/onnx").join(name)).unwrap()
}

/// A folder with the files of `tests/data/make_onnx.py`, and a card.
fn exported_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("exported.onnx"), exported("exported.onnx"));
    put(&folder.path().join("exported.onnx.data"), exported("exported.onnx.data"));
    let card = "labels = [\"a\", \"b\", \"c\"]\n[preprocess]\ninput = [8, 8]\nresize = \"exact\"\n\
                interpolation = \"bilinear\"\n[onnx]\nscores = \"logits\"";
    put(&folder.path().join("exported.toml"), card);
    folder
}

#[test]
fn a_graph_with_its_weights_in_a_second_file_answers_as_pytorch_does() {
    let folder = exported_folder();
    let model = open(&folder.path().join("exported.onnx"));
    let mut session =
        Session::open(library(), &model.onnx, SessionPlan::on_cpu(1), &[Output::Logits]).unwrap();
    let shape = InputShape::of(&model.card.preprocess);
    let mut batch = Batch::with_capacity(shape, 1);
    let pixels = seeded::pixels(shape.bytes());
    batch.push(&resnetd::pipeline::preprocess::Pixels::from_raw([8, 8], pixels).unwrap());
    let expected: [f32; 3] = serde_json::from_slice(&exported("exported.json")).unwrap();
    assert_close(session.run(&batch).unwrap().row(Output::Logits, 0), expected);
}

#[test]
fn external_weights_are_read_only_from_the_graphs_folder() {
    let folder = exported_folder();
    let (graph, data) =
        (folder.path().join("exported.onnx"), folder.path().join("exported.onnx.data"));
    let whole = fs::read(&data).unwrap();
    put(&data, &whole[..whole.len() / 2]);
    let error = refused(&graph, None);
    assert!(error.contains("it is cut off, or of another model"), "{error}");
    fs::remove_file(&data).unwrap();
    let error = refused(&graph, None);
    assert!(error.contains("exported.onnx.data, which does not exist"), "{error}");

    let outside = tempfile::tempdir().unwrap();
    let elsewhere = outside.path().join("exported.onnx.data");
    put(&elsewhere, &whole);
    std::os::unix::fs::symlink(&elsewhere, &data).unwrap();
    let error = refused(&graph, None);
    assert!(error.contains("outside the model's folder"), "{error}");
    // The locations have the same length, so that the other bytes of the file do not change.
    for location in ["../xported.onnx.dat", "/xported.onnx.dataa"] {
        let location = &location[..18];
        let bytes = exported("exported.onnx");
        let changed = replaced(&bytes, b"exported.onnx.data", location.as_bytes());
        put(&graph, changed);
        let error = refused(&graph, None);
        assert!(error.contains("outside the model's folder"), "{error}");
    }
}

/// `bytes` with every `from` replaced by `to`, which has the same length.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for place in 0..bytes.len().saturating_sub(from.len()) {
        if bytes[place..].starts_with(from) {
            changed[place..place + to.len()].copy_from_slice(to);
        }
    }
    changed
}

/// Files of a snapshot in the hub's cache are symbolic links.
#[test]
fn weights_in_a_second_file_are_found_in_the_hubs_cache() {
    let cache = tempfile::tempdir().unwrap();
    let snapshot = cache.path().join("models--lab--small/snapshots/0123");
    let blobs = cache.path().join("models--lab--small/blobs");
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(&blobs).unwrap();
    let folder = exported_folder();
    for name in ["exported.onnx", "exported.onnx.data", "exported.toml"] {
        fs::copy(folder.path().join(name), blobs.join(name)).unwrap();
        std::os::unix::fs::symlink(Path::new("../../blobs").join(name), snapshot.join(name))
            .unwrap();
    }
    assert_eq!(open(&snapshot.join("exported.onnx")).card.labels, ["a", "b", "c"]);
}

#[test]
fn graphs_with_a_fixed_batch_size_run_exactly_that_many_images() {
    let folder = Means { batch: Some(4), ..Means::default() }.with_card("", "");
    let model = open(&folder.path().join("means.onnx"));
    let colours: Vec<[u8; 3]> = (1..=9).map(|step| [step, 2 * step, 3 * step]).collect();
    for count in [1, 4, 5, 9] {
        let found = scores(&model, Output::Logits, &colours[..count]);
        for (found, colour) in found.iter().zip(&colours) {
            assert_close(found, colour.map(|value| f32::from(value) / 255.0));
        }
    }
}

#[test]
fn mismatches_of_graph_and_card_are_errors_with_the_reason() {
    let means = Means::default();
    let uint8 = Means { element: Element::Uint8, ..Means::default() };
    for (refusal, expected) in [
        (means.rejection("mean = [1, 2]", ""), "invalid length 2"),
        (means.rejection("", "layout = \"nhwc\""), "its input input has the shape [?, 3, 8, 8]"),
        (means.rejection("", "output = \"scores\""), "no output \"scores\""),
        (means.rejection("", "colour = \"bgr\""), "unknown field `colour`"),
        (means.rejection("", "scale = -1.0"), "onnx.scale is -1"),
        (uint8.rejection("mean = [0.5, 0.5, 0.5]", ""), "so it normalizes the pixels itself"),
    ] {
        assert!(refusal.contains(expected), "{refusal}");
    }
    let folder = means.with_card("", "");
    let (graph, card) = (folder.path().join("means.onnx"), folder.path().join("means.toml"));
    let text = fs::read_to_string(&card).unwrap();
    for (from, to, expected) in [
        (
            "[8, 8]",
            "[9, 8]",
            "it takes images of [8, 8] pixels, but preprocess.input of the card is",
        ),
        (", \"blue\"", "", "has 3 scores for each image, but the card has 2 labels"),
        (
            "labels",
            "architecture = \"resnet18\"\nlabels",
            "remove it from the card of an .onnx file",
        ),
    ] {
        put(&card, text.replace(from, to));
        let error = refused(&graph, None);
        assert!(error.contains(expected), "{error}");
    }
    fs::remove_file(&card).unwrap();
    let error = refused(&graph, None);
    assert!(error.contains("means.toml with its labels"), "{error}");
}

/// Its fields may be unknown, and would be lost.
#[test]
fn a_file_of_a_newer_version_of_onnx_is_refused() {
    let folder = Means::default().with_card("", "");
    let graph = folder.path().join("means.onnx");
    let mut bytes = fs::read(&graph).unwrap();
    assert_eq!(bytes[..2], [8, 10], "the first field is the IR version");
    bytes[1] = 15;
    put(&graph, bytes);
    let error = refused(&graph, None);
    assert!(
        error
            .contains("has IR version 15 of ONNX; this version of resnetd reads versions up to 14"),
        "{error}"
    );
}

/// A graph of somebody's is served, and what only ours can do is refused.
#[test]
fn commands_accept_foreign_graphs() {
    let folder = Means::default().with_card("", "scores = \"logits\"");
    let graph = folder.path().join("means.onnx");
    let graph = graph.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let output = resnetd(&[arguments, &["--model", graph]].concat());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let (ok, printed) = run(&["classify", "--json", "--device", "cpu", "tests/data/cat.jpg"]);
    assert!(ok && printed.contains("\"label\":\"red\""), "{printed}");
    let out = folder.path().join("out.onnx");
    let out = out.to_str().unwrap();
    let (ok, printed) = run(&["quantize", "--calibration", "tests/data", "--output", out]);
    assert!(!ok && printed.contains("was not built by resnetd"), "{printed}");
    let (ok, printed) = run(&["export", "--precision", "fp16", "--output", out]);
    assert!(!ok && printed.contains("cannot run as fp16"), "{printed}");
    let (ok, printed) = run(&["export", "--output", out]);
    assert!(ok, "{printed}");
    let exported = Model::open(out, None).unwrap();
    assert_close(&scores(&exported, Output::Logits, &[[51, 102, 255]])[0], [0.2, 0.4, 1.0]);
}

/// The output of `resnetd classify` for a photo, with this model and these options.
fn stdout_of(model: &Path, options: &[&str]) -> String {
    let arguments = ["classify", "--json", "--device", "cpu", "tests/data/cat.jpg", "--model"];
    let output = resnetd(&[&arguments[..], &[model.to_str().unwrap()], options].concat());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn a_missing_path_is_not_looked_for_on_the_hub() {
    for name in ["weights/none.pth", "./none/model", "models/none.onnx"] {
        let printed = stdout_of(Path::new(name), &[]);
        assert!(
            printed.contains(&format!("there is no file, folder or embedded model {name:?}")),
            "{printed}"
        );
    }
}

#[test]
fn the_error_for_a_graph_that_is_newer_than_the_runtime_has_both_versions() {
    let folder = Means::default().with_card("", "scores = \"logits\"");
    let graph = folder.path().join("means.onnx");
    let mut bytes = fs::read(&graph).unwrap();
    assert!(bytes.ends_with(&[0x10, 17]), "the last field is the version of the operators");
    *bytes.last_mut().unwrap() = 99;
    put(&graph, bytes);
    let output = stdout_of(&graph, &[]);
    assert!(
        output.contains("has IR version 10 and opset 99 of ONNX, which ONNX Runtime "),
        "{output}"
    );
    assert!(output.contains("opset_version="), "{output}");
}

#[test]
fn weights_get_their_labels_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    put_seeded(folder.path(), "resnet20-b", 2);
    let labels = folder.path().join("labels.txt");
    put(&labels, "cat\ndog\n");
    let found = stdout_of(folder.path(), &["--labels", labels.to_str().unwrap()]);
    assert!(found.contains("\"label\":\"cat\"") && found.contains("\"label\":\"dog\""), "{found}");
    put(&labels, "cat\n");
    let found = stdout_of(folder.path(), &["--labels", labels.to_str().unwrap()]);
    assert!(found.contains("labels.txt has 1 lines"), "{found}");
}

#[test]
fn a_model_without_class_names_gets_a_warning_at_the_start() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    put_seeded(folder.path(), "resnet20", 3);
    put(folder.path().join("names").as_path(), "cat\ndog\nfox\n");
    let log = |options: &[&str]| {
        let model = file("model.safetensors");
        let arguments = [&["--model", &model, "--arch", "resnet20"], options].concat();
        let log = fs::File::create(file("log")).unwrap();
        let mut server = Process::start_logging(log, "warn", &arguments);
        server.signal("-TERM");
        server.child.wait().unwrap();
        fs::read_to_string(file("log")).unwrap()
    };
    let warned = log(&[]);
    assert!(warned.contains("no class names") && warned.contains("--labels FILE"), "{warned}");
    let named = log(&["--labels", &file("names")]);
    assert!(!named.contains("class names"), "{named}");
}
