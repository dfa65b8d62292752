use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::TensorView;

use crate::graph::{Network, arch};

use super::{DataType, Finding, TensorSpec, Weights, WeightsError};

fn spec(name: &str, shape: &[usize]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), shape: shape.to_vec() }
}

fn weights(tensors: &[(&str, &[usize], &[f32])]) -> Weights {
    let owned = |(name, shape, values): &(&str, &[usize], &[f32])| {
        ((*name).to_owned(), shape.to_vec(), values.to_vec())
    };
    Weights::from_tensors(tensors.iter().map(owned))
}

/// A safetensors file with one tensor `[2]` called `w`.
fn file(data_type: DataType, bytes: &[u8]) -> Vec<u8> {
    let view = TensorView::new(data_type, vec![2], bytes).unwrap();
    ::safetensors::serialize([("w", view)], None).unwrap()
}

#[test]
fn every_float_type_is_read() {
    let values = [-0.375_f32, 2.5];
    let bytes = |of: fn(f32) -> Vec<u8>| values.map(of).concat();
    let files = [
        file(DataType::F16, &bytes(|value| f16::from_f32(value).to_le_bytes().to_vec())),
        file(DataType::BF16, &bytes(|value| bf16::from_f32(value).to_le_bytes().to_vec())),
        file(DataType::F32, &bytes(|value| value.to_le_bytes().to_vec())),
        file(DataType::F64, &bytes(|value| f64::from(value).to_le_bytes().to_vec())),
    ];
    for file in files {
        let weights = Weights::from_bytes(file).unwrap().check(&[spec("w", &[2])]).unwrap();
        assert_eq!(weights.values("w"), values);
    }
}

#[test]
fn all_differences_are_listed() {
    let found = weights(&[
        ("bn1.running_var", &[2], &[-1.0, 0.0]),
        ("conv1.weight", &[1, 2], &[0.0, 0.0]),
        ("extra.weight", &[1], &[0.0]),
        ("fc.bias", &[3], &[f32::NAN, f32::INFINITY, 0.0]),
    ]);
    let wanted = [
        spec("conv1.weight", &[64, 3, 7, 7]),
        spec("bn1.weight", &[2]),
        spec("bn1.running_var", &[2]),
        spec("fc.bias", &[3]),
    ];
    let error = found.check(&wanted).unwrap_err();
    insta::assert_snapshot!(error, @r"
    the weights do not fit the network:
    misshapen conv1.weight, expected [64, 3, 7, 7], found [1, 2]
    missing bn1.weight, expected [2]
    negative bn1.running_var, 1 of its elements is below zero, which no variance is
    non-finite fc.bias, 2 of its elements are infinite or not a number
    unexpected extra.weight, found [1]
    ");
}

#[test]
fn a_required_tensor_of_integers_is_rejected() {
    let weights = Weights::from_bytes(file(DataType::U8, &[1, 2])).unwrap();
    let error = weights.check(&[spec("w", &[2])]).unwrap_err();
    let WeightsError::Misfit { findings } = error else { panic!("{error}") };
    assert_eq!(findings, [Finding::NotFloat { name: "w".to_owned(), found: DataType::U8 }]);
}

#[test]
fn an_element_too_large_for_float32_is_not_finite() {
    let bytes = [1e300_f64, 1.0].map(f64::to_le_bytes).concat();
    let weights = Weights::from_bytes(file(DataType::F64, &bytes)).unwrap();
    let error = weights.check(&[spec("w", &[2])]).unwrap_err();
    let WeightsError::Misfit { findings } = error else { panic!("{error}") };
    assert_eq!(findings, [Finding::NonFinite { name: "w".to_owned(), count: 1 }]);
}

#[test]
fn the_counter_of_training_batches_is_ignored() {
    let found = weights(&[("bn1.num_batches_tracked", &[], &[7.0]), ("w", &[1], &[1.0])]);
    assert!(found.check(&[spec("w", &[1])]).is_ok());
}

#[test]
fn a_truncated_file_is_rejected() {
    let whole = file(DataType::F32, &[0; 8]);
    for end in [0, 7, whole.len() / 2, whole.len() - 1] {
        let error = Weights::from_bytes(whole[..end].to_vec()).unwrap_err();
        assert!(matches!(error, WeightsError::Format { .. }), "{end} bytes: {error}");
    }
}

#[test]
fn the_error_names_a_missing_file() {
    let error = Weights::open(Path::new("nowhere.safetensors")).unwrap_err();
    assert!(error.to_string().starts_with("cannot read nowhere.safetensors: "), "{error}");
}

/// Names and shapes of `ResNetForImageClassification(ResNetConfig())` of transformers 5, a line
/// each, which `tests/golden/transformers_names.py` wrote.
const TRANSFORMERS: &str = include_str!("../../tests/golden/transformers-resnet50.txt");

fn transformers_resnet50(prefix: &str) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let lines = TRANSFORMERS.lines().map(|line| {
        let (name, shape) = line.split_once(' ').unwrap();
        let shape: Vec<usize> = shape.split('x').map(|size| size.parse().unwrap()).collect();
        let ones = vec![1.0; shape.iter().product()];
        (format!("{prefix}{name}"), shape, ones)
    });
    lines.collect()
}

#[test]
fn names_of_transformers_and_of_wrapped_models_are_renamed() {
    let wanted = Network::expand(arch::find("resnet50").unwrap(), 1000).tensors();
    for prefix in ["", "module."] {
        let tensors = transformers_resnet50(prefix);
        assert_eq!(tensors.len(), wanted.len());
        let weights = Weights::from_tensors(tensors);
        weights.check(&wanted).unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "a file that nobody else reads")]
fn put(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn weights_in_several_files_are_read_through_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| put(&folder.path().join(name), bytes);
    let shard = |tensor: &str, values: [f32; 2]| {
        let bytes = values.map(f32::to_le_bytes).concat();
        let view = TensorView::new(DataType::F32, vec![2], &bytes).unwrap();
        ::safetensors::serialize([(tensor, view)], None).unwrap()
    };
    write("one.safetensors", &shard("a", [1.0, 2.0]));
    write("two.safetensors", &shard("b", [3.0, 4.0]));
    let index = folder.path().join("model.safetensors.index.json");
    let open = |map: &str| {
        put(&index, format!(r#"{{"metadata": {{}}, "weight_map": {map}}}"#).as_bytes());
        Weights::open(&index)
    };

    let whole = open(r#"{"a": "one.safetensors", "b": "two.safetensors"}"#).unwrap();
    let checked = whole.check(&[spec("a", &[2]), spec("b", &[2])]).unwrap();
    assert_eq!(checked.values("b"), [3.0, 4.0]);

    let words = |map| open(map).unwrap_err().to_string();
    assert!(words(r#"{"c": "one.safetensors"}"#).ends_with("c is not in one.safetensors"));
    let outside = words(r#"{"a": "../one.safetensors"}"#);
    assert!(outside.contains("is not the name of a file beside it"), "{outside}");
    assert!(words(r#"{"a": "three.safetensors"}"#).starts_with("cannot read"));
    assert!(words("[]").contains("does not describe its files"));
}

fn state_dict(name: &str) -> Result<Weights, WeightsError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/state_dicts");
    Weights::open(&folder.join(name))
}

/// Files that `tests/data/make_state_dicts.py` wrote.
#[test]
fn state_dicts_and_checkpoints_of_pytorch_are_read() {
    let names = [
        "zip.pth",
        "legacy.pth",
        "transposed.bin",
        "checkpoint.pth",
        "objects.pth",
        "averaged.pth",
    ];
    for name in names {
        let wanted = [spec("weight", &[2, 3]), spec("bias", &[2])];
        let weights = state_dict(name).unwrap().check(&wanted).unwrap();
        assert_eq!(weights.values("weight"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "{name}");
        assert_eq!(weights.values("bias"), [0.5, -2.0], "{name}");
    }
}

#[test]
fn a_pickle_with_code_is_rejected_and_not_run() {
    let error = state_dict("code.pth").unwrap_err().to_string();
    assert!(error.contains("(posix.system)"), "{error}");
    assert!(error.contains("torch.save(model.state_dict(), path)"), "{error}");
    assert!(!Path::new("run-by-a-pickle").exists());
}

#[test]
fn the_log_says_which_part_of_a_checkpoint_is_used() {
    let notes = |name: &str| state_dict(name).unwrap().notes().join("\n");
    assert_eq!(notes("zip.pth"), "");
    assert_eq!(
        notes("objects.pth"),
        "objects beside the weights were left out: argparse.Namespace"
    );
    let averaged = notes("averaged.pth");
    assert!(
        averaged.contains("took the weights under \"state_dict\"; to take those under"),
        "{averaged}"
    );
    assert!(averaged.contains("[\"state_dict_ema\"], \"weights.pth\")"), "{averaged}");
}

/// What `torch.save(torch.zeros(2), path)` writes.
fn saved_tensor() -> Vec<u8> {
    let storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x02tQ";
    let sizes = b"K\0K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)R";
    let rebuild = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(";
    let pickle = [&rebuild[..], &storage[..], &sizes[..], b"tR."].concat();
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [
        ("weights/data.pkl", &pickle[..]),
        ("weights/data/0", &[0; 8]),
        ("weights/version", b"3\n"),
    ] {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut archive, bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn a_single_tensor_is_rejected_with_its_own_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    put(&path, &saved_tensor());
    let error = Weights::open(&path).unwrap_err().to_string();
    assert!(error.contains("contains one tensor without a name, not a state dict"), "{error}");
    assert!(error.contains("torch.save(model.state_dict(), path)"), "{error}");
}

/// Checks weights of the network `name`, renamed by `rename`, against the network.
fn renamed(name: &str, rename: impl Fn(&str) -> String) -> Result<Weights, WeightsError> {
    let specs = Network::expand(arch::find(name).unwrap(), 7).tensors();
    let ones = specs.iter().map(|spec| {
        (rename(&spec.name), spec.shape.clone(), vec![1.0; spec.shape.iter().product()])
    });
    let counters = [("layer1.total_ops", 1), ("total_params", 1), ("n_averaged", 1)]
        .map(|(name, size)| (name.to_owned(), vec![size], vec![1.0]));
    let weights = Weights::from_tensors(ones.chain(counters));
    weights.clone().check(&specs).map(|_| weights)
}

#[test]
fn prefixes_of_training_scripts_are_removed() {
    for prefix in
        ["model.", "_orig_mod.", "module.", "net.", "timm_model.", "model.backbone.module.", "x."]
    {
        let weights = renamed("resnet20-b", |name| format!("{prefix}{name}")).unwrap();
        assert_eq!(weights.notes().len(), prefix.matches('.').count(), "{prefix}");
        renamed("vgg11_bn", |name| format!("{prefix}{name}")).unwrap();
    }
    // The classifier is outside of the backbone.
    let beside = |name: &str| match name.strip_prefix("fc.") {
        Some(part) => format!("head.fc.{part}"),
        None => format!("backbone.{name}"),
    };
    renamed("resnet20-b", beside).unwrap();
    renamed("resnet20-b", |name| format!("model.{}", beside(name))).unwrap();
    assert!(renamed("vgg11", str::to_owned).unwrap().notes().is_empty());
}

#[test]
fn classifiers_are_found_under_the_names_of_training_scripts() {
    for head in ["fc.1", "fc.0", "head.fc", "classifier", "classifier.1", "linear", "last_linear"] {
        renamed("resnet20-b", |name| name.replace("fc.", &format!("{head}."))).unwrap();
    }
    for head in ["classifier.6.0", "classifier.6.1"] {
        renamed("vgg11", |name| name.replace("classifier.6.", &format!("{head}."))).unwrap();
    }
    renamed("resnet20-b", |name| name.replace("downsample", "shortcut").replace("fc.", "linear."))
        .unwrap();
}

#[test]
fn a_classifier_without_a_bias_gets_zeros() {
    let specs = Network::expand(arch::find("resnet20-b").unwrap(), 7).tensors();
    let ones = specs.iter().filter(|spec| spec.name != "fc.bias").map(|spec| {
        (spec.name.clone(), spec.shape.clone(), vec![1.0; spec.shape.iter().product()])
    });
    let weights = Weights::from_tensors(ones);
    assert!(weights.notes().join("").contains("the classifier has no bias"));
    assert_eq!(weights.check(&specs).unwrap().values("fc.bias"), [0.0; 7]);
}

#[test]
fn the_error_for_a_file_without_weights_names_its_type_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read("tests/data/state_dicts/zip.pth").unwrap();
    let zip_of = |name: &str| [b"PK\x03\x04", name.as_bytes(), b"PK\x05\x06"].concat();
    let tensors = file(DataType::F32, &[0; 8]);
    for (bytes, expected) in [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n".to_vec(), "git lfs pull"),
        (b"<!DOCTYPE html><html>".to_vec(), "an HTML page"),
        (b"\x89HDF\r\n\x1a\n\0".to_vec(), "Keras"),
        (Vec::new(), "empty"),
        (whole[..whole.len() / 2].to_vec(), "without its end"),
        (zip_of("model.weights.h5"), "Keras"),
        (zip_of("net/code/__torch__.py net/constants.pkl"), "TorchScript"),
        (zip_of("net/archive_format"), "torch.export"),
        (zip_of("fc.npy"), "numpy"),
        (tensors[..tensors.len() - 1].to_vec(), "is truncated: it has"),
        (tensors[..12].to_vec(), "is truncated: it has"),
        (b"\x02\0\0\0\0\0\0\0{x".to_vec(), "weights.bin is not a valid safetensors file"),
    ] {
        let path = folder.path().join("weights.bin");
        put(&path, &bytes);
        let error = Weights::open(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn the_error_for_an_unknown_file_names_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.bin");
    put(&path, b"hello, world");
    let error = Weights::open(&path).unwrap_err().to_string();
    assert!(error.contains("neither a safetensors file nor a state dict"), "{error}");
}
