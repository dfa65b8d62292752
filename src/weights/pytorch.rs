//! State dicts of `torch.save`. A pickle is a program; it is parsed here, but never run.

use std::collections::HashMap;
use std::path::Path;

use pytorch_reader::{DType, PickleValue, PytorchError, PytorchReader};

use super::tensor::Tensors;
use super::{DataType, Tensor, WeightsError};

/// Keys of the weights in checkpoints of training scripts; the first one that exists is used. Averaged
/// weights come last, because using them should be an explicit choice.
const KEYS: [&str; 16] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "state",
    "weights",
    "params",
    "model_weights",
    "backbone",
    "state_dict_ema",
    "ema_state_dict",
    "model_ema",
    "ema",
    "ema_model",
];

/// Modules and classes of objects with settings and counters, which are ignored. Their code is never run.
const BOOKKEEPING: [&str; 22] = [
    "argparse.",
    "types.SimpleNamespace",
    "collections.",
    "copyreg._reconstructor",
    "datetime.",
    "decimal.",
    "enum.",
    "easydict.",
    "lightning.",
    "lightning_fabric.",
    "ml_collections.",
    "numpy.",
    "omegaconf.",
    "pathlib.",
    "pytorch_lightning.",
    "torch.",
    "torchvision.",
    "timm.",
    "typing.",
    "uuid.",
    "yacs.",
    "__main__.",
];

/// The tensors of a `.pth`, `.pt` or `.bin` file: a state dict, or a checkpoint that holds one. Also returns
/// messages about chosen and ignored parts.
///
/// Other contents of the file may be plain values (numbers, strings, lists, dictionaries) and the objects
/// above. A file with any other object is rejected.
pub(super) fn open(path: &Path) -> Result<(Tensors, Vec<String>), WeightsError> {
    let failed = |source: PytorchError| WeightsError::Pytorch { path: path.to_owned(), source };
    let root = PytorchReader::read_pickle_data(path, None).map_err(failed)?;
    if is_tensor(&root) {
        return Err(WeightsError::OneTensor { path: path.to_owned() });
    }
    let mut notes = Vec::new();
    let mut objects = Vec::new();
    collect_objects(&root, &mut objects);
    objects.sort();
    objects.dedup();
    let is_root = matches!(root, PickleValue::Unsupported(_));
    let is_left_out = |name: &String| BOOKKEEPING.iter().any(|known| name.starts_with(known));
    let (left_out, others): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_left_out);
    if !others.is_empty() || is_root {
        let objects = others.into_iter().chain(left_out).collect();
        return Err(WeightsError::Objects { path: path.to_owned(), objects });
    }
    if !left_out.is_empty() {
        notes.push(format!("objects beside the weights were left out: {}", left_out.join(", ")));
    }
    let reader = match weights_key(&root, path, &mut notes) {
        Some(key) => PytorchReader::with_top_level_key(path, key),
        None => PytorchReader::new(path),
    };
    let tensors = reader.map_err(failed)?.into_tensors().into_iter().map(|(name, tensor)| {
        let bytes = tensor.read().map_err(|error| failed(error.into()))?;
        let (data_type, shape) = (data_type(tensor.dtype()), tensor.shape().to_vec());
        Ok((name, Tensor { data_type, shape, bytes: bytes.into() }))
    });
    Ok((tensors.collect::<Result<_, _>>()?, notes))
}

/// The names of all types that are neither a plain value nor a tensor.
fn collect_objects(value: &PickleValue, objects: &mut Vec<String>) {
    match value {
        PickleValue::List(items) => items.iter().for_each(|item| collect_objects(item, objects)),
        PickleValue::Dict(items) => items.values().for_each(|item| collect_objects(item, objects)),
        PickleValue::Unsupported(_) if is_tensor(value) => {}
        PickleValue::Unsupported(name) => objects.push(name.clone()),
        PickleValue::None
        | PickleValue::Bool(_)
        | PickleValue::Int(_)
        | PickleValue::Float(_)
        | PickleValue::String(_)
        | PickleValue::Bytes(_) => {}
    }
}

/// The name of a tensor's type in the parsed pickle.
const TENSOR: &str = "torch.Tensor";

fn is_tensor(value: &PickleValue) -> bool {
    matches!(value, PickleValue::Unsupported(name) if name == TENSOR)
}

/// The key of the weights if the file is a checkpoint; ignored keys are added to `notes`.
fn weights_key<'a>(root: &'a PickleValue, path: &Path, notes: &mut Vec<String>) -> Option<&'a str> {
    let PickleValue::Dict(entries) = root else { return None };
    let key = |wanted: &&str| entries.get_key_value(*wanted);
    let mut found = KEYS.iter().filter_map(key).filter(|(_, value)| holds_tensors(value));
    let (key, _) = found.next()?;
    for (other, _) in found {
        notes.push(format!(
            "took the weights under {key:?}; to take those under {other:?}, save them alone: \
             torch.save(torch.load({:?}, weights_only=False, map_location=\"cpu\")[{other:?}], \
             \"weights.pth\")",
            path.display().to_string()
        ));
    }
    Some(key)
}

/// Whether a value is a dictionary that contains tensors, or another such dictionary.
fn holds_tensors(value: &PickleValue) -> bool {
    let has = |entries: &HashMap<String, PickleValue>| entries.values().any(is_tensor);
    let PickleValue::Dict(entries) = value else { return false };
    let inner =
        |key: &str| matches!(entries.get(key), Some(PickleValue::Dict(inner)) if has(inner));
    has(entries) || KEYS.iter().any(|key| inner(key))
}

fn data_type(of: DType) -> DataType {
    match of {
        DType::F64 => DataType::F64,
        DType::F32 => DataType::F32,
        DType::F16 => DataType::F16,
        DType::BF16 => DataType::BF16,
        DType::I64 => DataType::I64,
        DType::I32 => DataType::I32,
        DType::I16 => DataType::I16,
        DType::I8 => DataType::I8,
        DType::U64 => DataType::U64,
        DType::U32 => DataType::U32,
        DType::U16 => DataType::U16,
        DType::U8 => DataType::U8,
        DType::Bool => DataType::BOOL,
    }
}
