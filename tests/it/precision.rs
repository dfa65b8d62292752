//! Networks in int8 and float16, compared with float32.

use std::io::Write;
use std::process::Output;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use resnetd::device::Device;
use resnetd::eval::Dataset;
use resnetd::model::{DEFAULT, EMBEDDED, Model, Precision, PrecisionChoice};
use resnetd::pipeline::Output as Value;
use resnetd::pipeline::decode::{self, Limits};
use resnetd::pipeline::preprocess::Pixels;
use resnetd::pipeline::run::{
    Batch, InputShape, LoadPriority, ProbeRuntime, Session, SessionPlan, SessionsPlan,
    open_sessions,
};
use resnetd::quantize::{Method, calibrate, compare, quantize};
use serde_json::Value as Json;

use crate::support::{library, resnetd, seeded, write};

const SAMPLE: &str = "tests/data/cifar10-sample.parquet";
const ON_CPU: SessionPlan = SessionPlan::on_cpu(2);

/// The model's logits for noise, image by image.
fn logits(model: &Model, images: usize) -> Vec<f32> {
    let mut session = Session::open(library(), &model.onnx, ON_CPU, &[Value::Logits]).unwrap();
    session.run(&noise(model, images)).unwrap().rows(Value::Logits).concat()
}

fn noise(model: &Model, images: usize) -> Batch {
    let shape = InputShape::of(&model.card.preprocess);
    let mut batch = Batch::with_capacity(shape, images);
    for image in seeded::pixels(images * shape.bytes()).chunks(shape.bytes()) {
        batch.push(&Pixels::from_raw(model.card.preprocess.input, image.to_vec()).unwrap());
    }
    batch
}

/// The largest difference, relative to the largest logit.
fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    let largest = theirs.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let pairs = ours.iter().zip(theirs);
    pairs.fold(0.0_f32, |worst, (ours, theirs)| worst.max((ours - theirs).abs())) / largest
}

#[test]
fn float16_networks_answer_within_a_hundredth_of_float32() {
    let architectures = [
        "resnet18",
        "resnet50",
        "seresnet18",
        "resnet20",
        "resnext50_32x4d",
        "resnet18-gelu",
        "resnet18-stride64-silu",
        "resnet50_gn",
        "resnetblur18",
    ];
    let mut models: Vec<Model> =
        architectures.iter().map(|name| seeded::model(name, 10, [64, 64])).collect();
    models.push(Model::open("cifar10-resnet20", None).unwrap());
    for model in models {
        let half = model.to_half().unwrap();
        assert_eq!(half.card.precision, Precision::Fp16);
        assert!(half.onnx.len() < model.onnx.len() * 3 / 5, "{}", model.card.name);
        let difference = difference(&logits(&half, 2), &logits(&model, 2));
        assert!(difference > 0.0 && difference < 1e-2, "{}: {difference}", model.card.name);
    }
}

#[test]
fn weights_out_of_the_range_of_float16_are_named() {
    use resnetd::graph::{Network, arch};
    use resnetd::weights::Weights;
    let row = arch::find("plain20").unwrap();
    let tensors = Network::expand(row, 10).tensors().into_iter().map(|spec| {
        let value = if spec.name == "fc.weight" { 1e6 } else { 1.0 };
        let values = vec![value; spec.shape.iter().product()];
        (spec.name, spec.shape, values)
    });
    let card = seeded::model("plain20", 10, [32, 32]).card.as_ref().clone();
    let model = Model::build(card, Weights::from_tensors(tensors)).unwrap();
    let error = model.to_half().unwrap_err().to_string();
    assert!(error.contains("fc.weight has weights beyond ±65504"), "{error}");
}

/// Every kind of layer in int8: blocks with and without shortcuts, pooled shortcuts, groups, squeeze
/// and excitation, the pool and the three linear layers of VGG, other functions than ReLU.
#[test]
fn int8_networks_answer_nearly_as_float32_ones_do() {
    for name in [
        "resnet20",
        "plain18",
        "resnet18d",
        "resnext50_32x4d",
        "seresnet18",
        "vgg11_bn",
        "resnet18-gelu",
        "resnet18-stride64-silu",
    ] {
        let model = seeded::model(name, 10, [64, 64]);
        let graph = model.graph();
        let batches = [noise(&model, 4)];
        let runtime = ProbeRuntime { library: library(), plan: ON_CPU };
        let ranges = calibrate(runtime, &graph, &batches, Method::MinMax, &|| ()).unwrap();
        let layers = compare(runtime, &graph, &ranges, &batches).unwrap();
        let logits = layers.last().unwrap();
        assert_eq!(logits.value, "logits");
        for layer in &layers {
            assert!(layer.sqnr > 12.0, "{name}, {}: {} dB", layer.value, layer.sqnr);
        }
    }
}

/// The kernels of this program, which sessions of a server use, against ONNX Runtime's.
#[test]
fn kernels_for_int8_convolutions_do_not_change_a_bit_of_the_scores() {
    for name in ["efficientnet_lite0", "mobilenet_v2", "resnet18", "resnet20"] {
        let model = seeded::model(name, 10, [64, 64]);
        let runtime = ProbeRuntime { library: library(), plan: ON_CPU };
        let graph = model.graph();
        let batches = [noise(&model, 2)];
        let ranges = calibrate(runtime, &graph, &batches, Method::MinMax, &|| ()).unwrap();
        let onnx = quantize(&graph, &ranges).to_bytes();
        let mut theirs = Session::open(library(), &onnx, ON_CPU, &[Value::Logits]).unwrap();
        for (sessions, threads) in [(2, 1), (1, 1), (1, 2)] {
            let plan = SessionsPlan {
                device: Device::Cpu,
                sessions,
                threads,
                cuda_graphs: false,
                int8_kernels: true,
                input: InputShape::of(&model.card.preprocess),
                max_batch: 3,
            };
            let mut own =
                open_sessions(library(), &onnx, plan, LoadPriority::Alone).unwrap().engines;
            for images in [1, 3] {
                let batch = noise(&model, images);
                let expected = theirs.run(&batch).unwrap();
                let found = own[0](&batch).unwrap();
                assert_eq!(found.rows(Value::Logits), expected.rows(Value::Logits), "{name}");
            }
        }
    }
}

/// Integers add up the same in every order.
#[test]
fn an_int8_network_has_bit_identical_scores_alone_and_in_a_batch() {
    let choice = PrecisionChoice::Only(Precision::Int8);
    let model = Model::open_as("cifar10-resnet20", None, choice, Device::Cpu).unwrap().model;
    let together = logits(&model, 7);
    assert_eq!(together[..10], logits(&model, 1));
}

/// A hundred test images: the two precisions may differ where two classes have nearly the same score.
#[test]
fn the_int8_forms_of_the_embedded_models_agree_with_float32() {
    for embedded in EMBEDDED {
        let [float, int8] = [Precision::Fp32, Precision::Int8].map(|precision| {
            let choice = PrecisionChoice::Only(precision);
            let model = Model::open_as(embedded.name, None, choice, Device::Cpu).unwrap().model;
            assert_eq!(model.card.precision, precision);
            answers(&model)
        });
        let agree = float.iter().zip(&int8).filter(|(float, int8)| float == int8).count();
        assert!(agree >= 97, "{}: {agree} of {}", embedded.name, float.len());
    }
}

fn answers(model: &Model) -> Vec<usize> {
    let labels = &model.card.labels;
    let examples = Dataset::open(SAMPLE.as_ref(), labels).unwrap().examples(labels).unwrap();
    let limits = Limits::default();
    let mut batch = Batch::with_capacity(InputShape::of(&model.card.preprocess), 100);
    for example in examples {
        let bytes = example.unwrap().bytes;
        let header = decode::inspect(&bytes, &limits).unwrap();
        batch.push(
            &model
                .card
                .preprocess
                .apply(&decode::decode(&bytes, &header, decode::Watch::never()).unwrap()),
        );
    }
    let mut session = Session::open(library(), &model.onnx, ON_CPU, &[Value::Logits]).unwrap();
    let outputs = session.run(&batch).unwrap();
    let best = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    (0..batch.len()).map(|image| best(outputs.row(Value::Logits, image))).collect()
}

fn json(output: &Output) -> Json {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_int8_variant_of_a_folder_has_the_labels_of_its_card() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["model.safetensors", "model-int8.onnx"] {
        let from = format!("models/cifar10-resnet20/{file}");
        std::fs::copy(from, folder.path().join(file)).unwrap();
    }
    let card = std::fs::read_to_string("models/cifar10-resnet20/card.toml").unwrap();
    let open = |card: String, arch: Option<&str>| {
        crate::support::write(folder.path().join("card.toml"), card).unwrap();
        let int8 = PrecisionChoice::Only(Precision::Int8);
        let opened = Model::open_as(folder.path().to_str().unwrap(), arch, int8, Device::Cpu);
        opened.map(|chosen| chosen.model).map_err(|error| error.to_string())
    };
    assert!(card.contains("\"cat\""));
    let renamed = open(card.replace("\"cat\"", "\"kitten\""), None).unwrap();
    assert!(renamed.card.labels.contains(&"kitten".to_owned()));
    assert_eq!(renamed.card.precision, Precision::Int8);
    let without_photos = card.split("[[golden]]").next().unwrap();
    let fewer = open(without_photos.replace("\"cat\",", ""), None).unwrap_err();
    assert!(fewer.contains("9 labels, and its weights have 10 classes"), "{fewer}");
    let other = open(card, Some("resnet32")).unwrap_err();
    assert!(other.contains("resnet20, not resnet32"), "{other}");
}

#[test]
fn quantize_writes_a_model_that_is_served_in_int8_and_reports_the_accuracy() {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("model-int8.onnx");
    let written = written.to_str().unwrap();
    let common = ["quantize", "--json", "--calibration", SAMPLE, "--data", SAMPLE, "-o", written];
    for method in ["min-max", "percentile", "entropy"] {
        let report = json(&resnetd(&[&common[..], &["--method", method]].concat()));
        assert_eq!(report["images"], 100);
        let layers = report["layers"].as_array().unwrap();
        assert!(layers.iter().all(|layer| layer["sqnr"].as_f64().unwrap() > 15.0), "{report}");
        let accuracy = &report["accuracy"];
        assert!(accuracy["agree"].as_u64().unwrap() >= 96, "{method}: {accuracy}");
        let [low, high] = ["low", "high"].map(|end| accuracy["difference"][end].as_f64().unwrap());
        assert!(low <= 0.02 && high >= -0.02, "{method}: {accuracy}");
    }
    let described = json(&resnetd(&["eval", "--json", "--data", SAMPLE, "--model", written]));
    assert!(described["top1"].as_f64().unwrap() > 0.8, "{described}");
    let asked = ["--model", written, "--precision", "fp32"];
    let output = resnetd(&[&["classify", "tests/data/cat.jpg"], &asked[..]].concat());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("is int8 and not available as fp32"), "{message}");
    assert!(message.contains("use the weights from which it was quantized"), "{message}");
}

#[test]
fn a_quantized_file_has_the_given_labels_and_no_calibration_of_another_variant() {
    let folder = folder_with_card(str::to_owned);
    let model = folder.path().to_str().unwrap();
    assert_eq!(Model::open(model, None).unwrap().card.calibration.len(), 2, "fp32 and int8");
    let names: Vec<String> = (0..10).map(|class| format!("kind {class}")).collect();
    let labels = folder.path().join("labels.txt");
    write(&labels, names.join("\n")).unwrap();
    let images = folder.path().join("images.parquet");
    parquet_without_labels(&images, &std::fs::read("tests/data/cifar10-cat.png").unwrap());
    let [labels, images] = [labels, images].map(|path| path.to_str().unwrap().to_owned());
    let written = folder.path().join("written.onnx");
    let written = written.to_str().unwrap();
    let arguments = ["quantize", "--model", model, "--labels", &labels, "--calibration", &images];
    let output = resnetd(&[&arguments[..], &["-o", written]].concat());
    assert!(output.status.success(), "{output:?}");
    let card = Model::open(written, None).unwrap().card;
    assert_eq!((card.precision, &card.labels), (Precision::Int8, &names));
    assert!(card.calibration.is_empty(), "{:?}", card.calibration);
}

/// Writes a parquet file with one row and one column, the group `img` of published data sets.
fn parquet_without_labels(path: &std::path::Path, image: &[u8]) {
    let schema = "message rows { required group img { required binary bytes; } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut rows = writer.next_row_group().unwrap();
    let mut column = rows.next_column().unwrap().unwrap();
    let value = ByteArray::from(image.to_vec());
    column.typed::<ByteArrayType>().write_batch(&[value], None, None).unwrap();
    column.close().unwrap();
    rows.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn a_model_without_the_requested_precision_says_how_to_get_it() {
    let refused = |arguments: &[&str]| {
        let output = resnetd(&[&["classify", "tests/data/cat.jpg"], arguments].concat());
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let folder = folder_with_card(str::to_owned);
    let model = folder.path().to_str().unwrap();
    let message = refused(&["--model", model, "--precision", "int8"]);
    assert!(message.contains("is fp32 and not available as int8"), "{message}");
    assert!(message.contains("named model-int8.onnx and in the model's folder"), "{message}");
}

#[test]
fn unreadable_calibration_images_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy("Cargo.toml", folder.path().join("broken.png")).unwrap();
    let written = folder.path().join("m.onnx");
    let calibration = folder.path().to_str().unwrap();
    let arguments = ["quantize", "--calibration", calibration, "-o", written.to_str().unwrap()];
    let output = resnetd(&arguments);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken.png"), "{output:?}");
    assert!(!written.exists());
}

/// A folder with the embedded card after `change`.
fn folder_with_card(change: impl Fn(&str) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cifar10-resnet20");
    let card = std::fs::read_to_string(source.join("card.toml")).unwrap();
    let mut file = std::fs::File::create(folder.path().join("card.toml")).unwrap();
    file.write_all(change(&card).as_bytes()).unwrap();
    let weights = "model.safetensors";
    std::fs::copy(source.join(weights), folder.path().join(weights)).unwrap();
    folder
}

#[test]
fn a_model_that_fails_its_golden_photos_is_rejected() {
    let classify = |folder: &tempfile::TempDir| {
        let model = folder.path().to_str().unwrap();
        resnetd(&["classify", "tests/data/cat.jpg", "--model", model])
    };
    assert!(classify(&folder_with_card(str::to_owned)).status.success());
    for (change, with, photo) in [
        ("mean = [0.4914,", "mean = [0.5914,", "golden photo 1"), // other preprocessing
        ("13.90894", "13.7", "golden photo 3"),                   // other scores
    ] {
        let output = classify(&folder_with_card(|card| {
            assert!(card.contains(change));
            card.replace(change, with)
        }));
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(message.contains("the model does not match its card"), "{message}");
        assert!(message.contains(photo), "{message}");
    }
}

/// An .npz file with the golden photos of the embedded card, with `ship` as the ship logit of the third.
fn reference(folder: &std::path::Path, ship: Option<f32>, with: &[&str]) -> String {
    let card = Model::open(DEFAULT, None).unwrap().card;
    let path = folder.join("golden.npz");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let mut logits: Vec<f32> =
        card.golden.iter().flat_map(|golden| golden.logits.clone()).collect();
    logits[28] = ship.unwrap_or(logits[28]);
    for name in with {
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        zip.start_file(format!("{name}.npy"), options).unwrap();
        if let Some(number) = name.strip_prefix("photo_") {
            let photo = card.golden[number.parse::<usize>().unwrap()].bytes().unwrap();
            npy(&mut zip, &[photo.len() as u64], &photo);
        } else {
            npy(&mut zip, &[3, 10], &logits);
        }
    }
    zip.finish().unwrap();
    path.to_str().unwrap().to_owned()
}

fn npy<T: npyz::AutoSerialize + Copy>(to: &mut impl Write, shape: &[u64], values: &[T]) {
    use npyz::WriterBuilder;
    let options = npyz::WriteOptions::new().default_dtype().shape(shape);
    let mut writer = options.writer(to).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

#[test]
fn verify_accepts_the_framework_logits_and_rejects_others() {
    let folder = tempfile::tempdir().unwrap();
    let all = ["photo_0", "photo_1", "photo_2", "logits"];
    let verify = |reference: &str| {
        let exact = ["--precision", "fp32", "--tolerance", "0.0001", "--json"];
        resnetd(&[&["verify", "--reference", reference], &exact[..]].concat())
    };
    let verdict = json(&verify(&reference(folder.path(), None, &all)));
    assert_eq!(verdict["pass"], true);
    assert_eq!(verdict["photos"].as_array().unwrap().len(), 3);

    let output = verify(&reference(folder.path(), Some(13.8), &all));
    assert!(!output.status.success());
    let verdict: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&verdict["pass"], &verdict["photos"][2]["label"]), (&false.into(), &"ship".into()));

    for (with, message) in [
        (&all[1..], "it has 2 photos and 3 rows of logits"),
        (&all[..3], "there is no array logits"),
    ] {
        let output = verify(&reference(folder.path(), None, with));
        assert!(String::from_utf8_lossy(&output.stderr).contains(message), "{output:?}");
    }
    let output = verify("Cargo.toml");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Cargo.toml is not a reference"));
}
