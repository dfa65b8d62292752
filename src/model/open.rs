//! Opens a model given by name: an embedded model, a folder or a file.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{
    EMBEDDED, FolderContent, Model, ModelCard, ModelError, config, external_data, foreign,
};
use crate::graph::{DetectedArchitecture, Guess, arch, infer};
use crate::onnx;
use crate::weights::{Weights, WeightsError};

/// File names of weights in a folder, in order of preference.
pub(crate) const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// File name of the card in a folder.
pub(crate) const CARD: &str = "card.toml";

/// File names of a graph in a folder, in order of preference. Repositories for transformers.js have the
/// second.
pub(crate) const GRAPHS: [&str; 2] = ["model.onnx", "onnx/model.onnx"];

impl Model {
    /// Opens a model:
    ///
    /// - an embedded one, by its name;
    /// - a folder with weights, alone or with a `card.toml` or the `config.json` of timm or transformers;
    /// - a folder with `model.onnx` or `onnx/model.onnx`, and such a card or `config.json`;
    /// - a file of weights, alone or with a card of the same name that ends in `.toml`;
    /// - an `.onnx` file, written by `resnetd export`, or with such a card.
    ///
    /// `arch` is the architecture of the weights, needed if neither card nor tensors determine it.
    ///
    /// # Errors
    ///
    /// [`ModelError`] with the missing or invalid file.
    pub fn open(name: &str, arch: Option<&str>) -> Result<Self, ModelError> {
        let path = Path::new(name);
        if let Some(embedded) = EMBEDDED.iter().find(|embedded| embedded.name == name) {
            let card = read_card(name, embedded.card)?;
            let weights = Weights::from_bytes(Bytes::from_static(embedded.weights));
            check_arch(&card, arch)?;
            Self::build(card, weights_of(name, weights)?)
        } else if path.is_dir() {
            open_folder(path, arch)
        } else if path.is_file() {
            open_file(path, arch)
        } else {
            Err(ModelError::Unknown { name: name.to_owned() })
        }
    }

    /// Reads the bytes of a file that `resnetd export` or `resnetd quantize` wrote.
    pub(super) fn from_onnx(name: &str, bytes: Bytes) -> Result<Self, ModelError> {
        Self::from_graph(name, &read_onnx(Path::new(name), &bytes)?, bytes)
    }

    /// The model of `bytes`, which are `graph` with a resnetd card inside.
    fn from_graph(name: &str, graph: &onnx::OnnxModel, bytes: Bytes) -> Result<Self, ModelError> {
        let card = ModelCard::from_metadata(graph.all_metadata())
            .map_err(|source| ModelError::Card { of: name.to_owned(), source })?;
        Ok(Self { card: card.into(), onnx: bytes })
    }
}

fn open_folder(folder: &Path, arch: Option<&str>) -> Result<Model, ModelError> {
    let named = |file: &&&str| folder.join(file).is_file();
    let card = folder.join(CARD);
    let Some(file) = WEIGHTS.iter().find(named) else {
        return match GRAPHS.iter().find(named) {
            Some(graph) => open_onnx(&folder.join(graph), &card, arch),
            None => Err(ModelError::NoWeights {
                folder: folder.to_owned(),
                content: FolderContent::of(folder),
            }),
        };
    };
    let of = name_of(folder);
    if card.is_file() {
        return build_from(&of, &folder.join(file), &card, arch);
    }
    let weights = weights_of(&of, Weights::open(&folder.join(file)))?;
    if folder.join("config.json").is_file() {
        let card = config::card(folder, &of, &weights)?;
        check_arch(&card, arch)?;
        Model::build(card, weights)
    } else {
        open_without_card(&of, weights, arch)
    }
}

fn open_file(path: &Path, arch: Option<&str>) -> Result<Model, ModelError> {
    let card = path.with_extension("toml");
    if path.extension().is_some_and(|extension| extension == "onnx") {
        return open_onnx(path, &card, arch);
    }
    let of = path.file_stem().unwrap_or_default().to_string_lossy();
    if card.is_file() {
        return build_from(&of, path, &card, arch);
    }
    open_without_card(&of, weights_of(&of, Weights::open(path))?, arch)
}

/// Opens a graph with a card inside, or with one at `card`.
fn open_onnx(path: &Path, card: &Path, arch: Option<&str>) -> Result<Model, ModelError> {
    let bytes: Bytes = fs::read(path).map_err(read_error(path))?.into();
    let mut graph = read_onnx(path, &bytes)?;
    let is_whole = !graph.has_external_data();
    if !is_whole {
        graph = external_data::with_weights(path, graph)?;
    }
    let name = path.display().to_string();
    let model = if ModelCard::is_in(graph.all_metadata()) {
        let bytes = if is_whole { bytes } else { graph.to_bytes().into() };
        Model::from_graph(&name, &graph, bytes)?
    } else if card.is_file() {
        let text = fs::read_to_string(card).map_err(read_error(card))?;
        foreign::adopt(path, graph, &text)?
    } else if card.ends_with(CARD) && card.with_file_name("config.json").is_file() {
        let folder = card.parent().unwrap_or(Path::new(""));
        let described = config::card_of_graph(folder, &name_of(folder))?;
        foreign::adopt_described(path, graph, described)?
    } else {
        return Err(ModelError::NoCard { path: path.to_owned(), card: card.to_owned() });
    };
    check_arch(&model.card, arch)?;
    Ok(model)
}

/// Builds a model from weights and their card.
fn build_from(
    of: &str,
    weights: &Path,
    card: &Path,
    arch: Option<&str>,
) -> Result<Model, ModelError> {
    let text = fs::read_to_string(card).map_err(read_error(card))?;
    let card = read_card(of, &text)?;
    check_arch(&card, arch)?;
    Model::build(card, weights_of(of, Weights::open(weights))?)
}

/// Opens weights without a card. The architecture is `arch`, or determined from the tensors.
fn open_without_card(of: &str, weights: Weights, arch: Option<&str>) -> Result<Model, ModelError> {
    let inferred = if let Some(arch) = arch {
        let architecture = arch::find(arch)?;
        let classes = infer::classes(architecture, &weights).unwrap_or(architecture.classes);
        DetectedArchitecture { architecture, classes }
    } else {
        let guess = infer::infer(&weights, of.rsplit('/').next().unwrap_or(of))
            .map_err(|source| ModelError::NotInferred { of: of.to_owned(), source })?;
        warn_if_ambiguous(of, &guess);
        guess.inferred
    };
    Model::build(config::default_card(of, inferred), weights)
}

/// Warns if the weights match several architectures.
fn warn_if_ambiguous(of: &str, Guess { inferred, others }: &Guess) {
    if !others.is_empty() {
        let taken = inferred.architecture.name;
        let others = others.join(", ");
        tracing::warn!(
            "{of}: the tensors fit {taken}, and also {others}; using {taken} (set --arch to choose)"
        );
    }
}

/// Checks that `--arch`, if given, is the card's architecture.
pub(super) fn check_arch(card: &ModelCard, arch: Option<&str>) -> Result<(), ModelError> {
    match arch {
        Some(wanted) if wanted != card.architecture => Err(ModelError::OtherArchitecture {
            of: card.name.clone(),
            found: card.architecture.clone(),
            wanted: wanted.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Name of a folder; for a snapshot in the hub's cache, the name of its repository.
fn name_of(folder: &Path) -> String {
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let part = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let above = full.parent().filter(|above| above.ends_with("snapshots"));
    let repository = above.and_then(Path::parent).map(part);
    match repository.as_deref().and_then(|name| name.strip_prefix("models--")) {
        Some(repository) => repository.replacen("--", "/", 1),
        None => part(&full),
    }
}

pub(super) fn read_card(of: &str, text: &str) -> Result<ModelCard, ModelError> {
    ModelCard::from_toml(text).map_err(|source| ModelError::Card { of: of.to_owned(), source })
}

fn read_onnx(path: &Path, bytes: &Bytes) -> Result<onnx::OnnxModel, ModelError> {
    let not_onnx = |error: onnx::NotOnnx| ModelError::NotOnnx {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let graph = onnx::OnnxModel::from_bytes(bytes.clone()).map_err(not_onnx)?;
    if graph.ir_version() > onnx::NEWEST_IR_VERSION {
        let (path, found) = (path.to_owned(), graph.ir_version());
        return Err(ModelError::NewerOnnx { path, found });
    }
    Ok(graph)
}

fn weights_of(of: &str, weights: Result<Weights, WeightsError>) -> Result<Weights, ModelError> {
    let weights = weights.map_err(|source| ModelError::Weights { of: of.to_owned(), source })?;
    for note in weights.notes() {
        tracing::info!("weights of {of}: {note}");
    }
    Ok(weights)
}

pub(super) fn read_error(path: &Path) -> impl FnOnce(std::io::Error) -> ModelError {
    let path = PathBuf::from(path);
    |source| ModelError::Read { path, source }
}
