//! State dicts as `torch.save` writes them. A pickle is a program; this one is read and never run.

use std::collections::BTreeMap;
use std::path::Path;

use pytorch_reader::{DType, PickleValue, PytorchError, PytorchReader};

use super::{DataType, Tensor, WeightsError};

/// Under which key training scripts keep the weights in a checkpoint; the first that is there.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model_state", "model"];

/// The tensors of a `.pth`, `.pt` or `.bin` file: a state dict, or a checkpoint that holds one.
///
/// Everything else in the file may be plain values (numbers, texts, lists, dictionaries). An object
/// of any class makes the file refused, as `torch.load` refuses it with `weights_only=True`.
pub(super) fn open(path: &Path) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let failed = |source: PytorchError| WeightsError::Pytorch { path: path.to_owned(), source };
    let root = PytorchReader::read_pickle_data(path, None).map_err(failed)?;
    let mut objects = Vec::new();
    collect_objects(&root, &mut objects);
    if !objects.is_empty() {
        objects.sort();
        objects.dedup();
        return Err(WeightsError::Objects { path: path.to_owned(), objects });
    }
    let reader = match wrapper(&root) {
        Some(key) => PytorchReader::with_top_level_key(path, key),
        None => PytorchReader::new(path),
    };
    let tensors = reader.map_err(failed)?.into_tensors().into_iter().map(|(name, tensor)| {
        let bytes = tensor.read().map_err(|error| failed(error.into()))?;
        let (data_type, shape) = (data_type(tensor.dtype()), tensor.shape().to_vec());
        Ok((name, Tensor { data_type, shape, bytes: bytes.into() }))
    });
    tensors.collect()
}

/// The names of all types that are neither a plain value nor a tensor.
fn collect_objects(value: &PickleValue, objects: &mut Vec<String>) {
    match value {
        PickleValue::List(items) => items.iter().for_each(|item| collect_objects(item, objects)),
        PickleValue::Dict(items) => items.values().for_each(|item| collect_objects(item, objects)),
        PickleValue::Unsupported(name) if name == "torch.Tensor" => {}
        PickleValue::Unsupported(name) => objects.push(name.clone()),
        PickleValue::None
        | PickleValue::Bool(_)
        | PickleValue::Int(_)
        | PickleValue::Float(_)
        | PickleValue::String(_)
        | PickleValue::Bytes(_) => {}
    }
}

fn wrapper(root: &PickleValue) -> Option<&'static str> {
    let PickleValue::Dict(entries) = root else { return None };
    let is_dict = |key: &&str| matches!(entries.get(*key), Some(PickleValue::Dict(_)));
    WRAPPERS.iter().copied().find(is_dict)
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
