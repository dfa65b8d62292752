//! Weights and graphs that others made: folders of their libraries, files of weights, ONNX.

use std::fs;
use std::path::Path;

use resnetd::graph::{Network, arch};
use resnetd::model::{Model, imagenet};
use resnetd::onnx::builder::int_attribute;
use resnetd::onnx::{Element, GraphBuilder};
use resnetd::pipeline::preprocess::{Interpolation, Resize};
use resnetd::pipeline::run::{Batch, InputShape, Output, Session, SessionPlan};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;
use tempfile::TempDir;

use crate::parity::{Golden, assert_golden};
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

/// Folders as `save_pretrained` of transformers writes them; the logits are its own.
#[test]
fn a_folder_of_transformers_answers_as_transformers_does() {
    for (golden, architecture) in [
        (include_str!("../golden/transformers-resnet50.json"), "resnet50"),
        (include_str!("../golden/transformers-resnet50-v1.json"), "resnet50-v1"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let names = include_str!("../golden/transformers-resnet50.txt");
        put_weights(
            folder.path(),
            names.lines().map(|line| {
                let (name, shape) = line.split_once(' ').unwrap();
                (name.to_owned(), shape.split('x').map(|size| size.parse().unwrap()).collect())
            }),
        );
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
    assert!(error.contains("config.json: no architecture is called \"vit_base\""), "{error}");
}

#[test]
fn weights_alone_say_what_they_are_of_or_must_be_told() {
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
        "cifar10-resnet20 is of the architecture resnet20, not resnet50; leave out --arch"
    );
    let empty = tempfile::tempdir().unwrap();
    assert!(refused(empty.path(), None).contains("holds no model; looked for model.safetensors"));
}

/// A card beside a file of weights has the file's name.
#[test]
fn a_card_beside_weights_names_their_classes() {
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

/// A network whose three scores are the means of its input's three channels, and so can be told in
/// advance: somebody's graph, `size` pixels high and wide.
struct Means {
    input: &'static str,
    element: Element,
    channels_last: bool,
    output: &'static str,
    softmax: bool,
    batch: Option<usize>,
}

impl Default for Means {
    fn default() -> Self {
        Self {
            input: "input",
            element: Element::Float,
            channels_last: false,
            output: "output",
            softmax: false,
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
        if self.softmax {
            value = graph.node("Softmax", "softmax", &[&value], [int_attribute("axis", 1)]);
        }
        graph.output(self.output, &value, &[3], "");
        if let Some(batch) = self.batch {
            graph.fix_batch(batch);
        }
        graph.finish("somebody's", &[]).to_bytes()
    }

    /// The graph beside a card with these lines for preprocessing and hints.
    fn beside(&self, preprocess: &str, hints: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        put(&folder.path().join("means.onnx"), self.onnx());
        let card = format!(
            "labels = [\"red\", \"green\", \"blue\"]\n[preprocess]\ninput = [{SIDE}, {SIDE}]\n\
             resize = \"exact\"\ninterpolation = \"bilinear\"\n{preprocess}\n[onnx]\n{hints}\n"
        );
        put(&folder.path().join("means.toml"), card);
        folder
    }

    fn refusal(&self, preprocess: &str, hints: &str) -> String {
        refused(&self.beside(preprocess, hints).path().join("means.onnx"), None)
    }
}

/// Scores of pictures of one colour each.
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

/// Pixels reach somebody's graph as its card says, whatever its layout, type and names.
#[test]
fn graphs_of_others_get_what_they_were_trained_on() {
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
        let folder = means.beside(preprocess, hints);
        let model = open(&folder.path().join("means.onnx"));
        assert_close(&scores(&model, Output::Logits, &[colour])[0], expected);
    }
}

#[test]
fn scores_that_are_probabilities_already_are_given_as_they_are() {
    let means = Means { softmax: true, output: "probabilities", ..Means::default() };
    let folder = means.beside("", "");
    let model = open(&folder.path().join("means.onnx"));
    let expected = {
        let powers = [0.2_f32, 0.4, 1.0].map(f32::exp);
        powers.map(|power| power / powers.iter().sum::<f32>())
    };
    assert_close(&scores(&model, Output::Probabilities, &[[51, 102, 255]])[0], expected);
    assert_close(&scores(&model, Output::Logits, &[[51, 102, 255]])[0], expected.map(f32::ln));
}

#[test]
fn graphs_of_one_batch_size_get_exactly_that_many() {
    let folder = Means { batch: Some(4), ..Means::default() }.beside("", "");
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
fn what_does_not_fit_is_refused_with_the_reason() {
    let means = Means::default();
    let uint8 = Means { element: Element::Uint8, ..Means::default() };
    for (refusal, expected) in [
        (means.refusal("mean = [1, 2]", ""), "invalid length 2"),
        (means.refusal("", "layout = \"nhwc\""), "its input input has the shape [?, 3, 8, 8]"),
        (means.refusal("", "output = \"scores\""), "no output \"scores\""),
        (means.refusal("", "colour = \"bgr\""), "unknown field `colour`"),
        (means.refusal("", "scale = -1.0"), "onnx.scale is -1"),
        (uint8.refusal("mean = [0.5, 0.5, 0.5]", ""), "takes pixels as they are"),
    ] {
        assert!(refusal.contains(expected), "{refusal}");
    }
    let folder = means.beside("", "");
    let (graph, card) = (folder.path().join("means.onnx"), folder.path().join("means.toml"));
    let text = fs::read_to_string(&card).unwrap();
    for (from, to, expected) in [
        ("[8, 8]", "[9, 8]", "it takes pictures of [8, 8] pixels, preprocess.input of the card is"),
        (", \"blue\"", "", "has 3 scores for each picture, the card has 2 labels"),
        ("labels", "architecture = \"resnet18\"\nlabels", "beside an .onnx file it is left out"),
    ] {
        put(&card, text.replace(from, to));
        let error = refused(&graph, None);
        assert!(error.contains(expected), "{error}");
    }
    fs::remove_file(&card).unwrap();
    let error = refused(&graph, None);
    assert!(error.contains("means.toml that says its labels"), "{error}");
}

/// A graph of somebody's is served, and what only ours can do is refused.
#[test]
fn commands_take_somebodys_graph() {
    let folder = Means::default().beside("", "");
    let graph = folder.path().join("means.onnx");
    let graph = graph.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let output = resnetd(&[arguments, &["--model", graph]].concat());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let (ok, said) = run(&["classify", "--json", "--device", "cpu", "tests/data/cat.jpg"]);
    assert!(ok && said.contains("\"label\":\"red\""), "{said}");
    let out = folder.path().join("out.onnx");
    let out = out.to_str().unwrap();
    let (ok, said) = run(&["quantize", "--calibration", "tests/data", "--output", out]);
    assert!(!ok && said.contains("is not a graph of resnetd"), "{said}");
    let (ok, said) = run(&["export", "--precision", "fp16", "--output", out]);
    assert!(!ok && said.contains("cannot be fp16"), "{said}");
    let (ok, said) = run(&["export", "--output", out]);
    assert!(ok, "{said}");
    let exported = Model::open(out, None).unwrap();
    assert_close(&scores(&exported, Output::Logits, &[[51, 102, 255]])[0], [0.2, 0.4, 1.0]);
}
