//! A model as one thing: a card and a graph.

mod card;
mod digests; // what it can be told by
mod embedded;
mod golden; // photos whose scores are known
mod precision; // in which arithmetic

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

pub use card::{CardError, Figure, ModelCard};
pub use digests::Digests;
pub(crate) use digests::hex;
pub use embedded::{DEFAULT, EMBEDDED, Embedded};
pub use golden::Golden;
pub use precision::{BadPrecision, Chosen, Precision, PrecisionChoice};

use crate::graph::{self, EmitPlan, Network, Normalize, UnknownArchitecture, arch};
use crate::onnx;
use crate::weights::{Weights, WeightsError};

/// A card and the ONNX bytes of the network it describes.
#[derive(Debug, Clone)]
pub struct Model {
    /// What it is and how it is fed.
    pub card: Arc<ModelCard>,
    /// A serialised ONNX `ModelProto`.
    pub onnx: Bytes,
}

/// A model that cannot be had, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Neither an embedded name nor a path.
    #[error(
        "no model {name:?}: it is not embedded ({}) and no file or folder has this name",
        embedded_names()
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A file that is not an ONNX model.
    #[error("{} is not an ONNX model: {reason}", path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// The reader's word.
        reason: String,
    },
    /// A model that there is in another precision only.
    #[error(
        "{name} is {found} and cannot be had as {wanted}\n\
         hint: resnetd quantize makes the int8 form of a model, from its fp32 form"
    )]
    Precision {
        /// The model's name.
        name: String,
        /// What it is.
        found: Precision,
        /// What was asked for.
        wanted: Precision,
    },
    /// Weights that have no place in float16.
    #[error("{of} cannot be fp16: {source}")]
    TooLarge {
        /// The model's name.
        of: String,
        /// Which weights.
        source: graph::half::TooLarge,
    },
    /// A card that cannot be used.
    #[error("the card of {of}: {source}")]
    Card {
        /// Whose card.
        of: String,
        /// What is wrong with it.
        source: CardError,
    },
    /// A card that names a network we do not build.
    #[error(transparent)]
    Architecture(#[from] UnknownArchitecture),
    /// Pictures that are too small for the network.
    #[error(
        "the card of {of}: {architecture} has nothing left of pictures of {}×{} pixels; \
         preprocess.input must be larger", input[0], input[1]
    )]
    TooSmall {
        /// Whose card.
        of: String,
        /// Its architecture.
        architecture: String,
        /// Height and width in pixels, as the card has them.
        input: [u32; 2],
    },
    /// Weights that do not fit.
    #[error("the weights of {of}: {source}")]
    Weights {
        /// Whose weights.
        of: String,
        /// Everything that is wrong with them.
        source: WeightsError,
    },
}

impl Model {
    /// Opens an embedded model by its name, a folder with `card.toml` and `model.safetensors`, or
    /// an `.onnx` file that `resnetd export` wrote.
    ///
    /// # Errors
    ///
    /// [`ModelError`], which says what is missing or wrong and where.
    pub fn open(name: &str) -> Result<Self, ModelError> {
        let path = Path::new(name);
        if let Some(embedded) = EMBEDDED.iter().find(|embedded| embedded.name == name) {
            let card = read_card(name, embedded.card)?;
            let weights = Weights::from_bytes(Bytes::from_static(embedded.weights));
            Self::build(card, weights_of(name, weights)?)
        } else if path.is_dir() {
            let card_path = path.join("card.toml");
            let text = fs::read_to_string(&card_path)
                .map_err(|source| ModelError::Read { path: card_path, source })?;
            let card = read_card(name, &text)?;
            let weights = Weights::open(&weights_file(path));
            Self::build(card, weights_of(name, weights)?)
        } else if path.is_file() {
            Self::open_onnx(path)
        } else {
            Err(ModelError::Unknown { name: name.to_owned() })
        }
    }

    /// Builds the graph that `card` describes, with `weights`.
    ///
    /// # Errors
    ///
    /// [`ModelError`] where no such architecture exists or the weights do not fit.
    pub fn build(card: ModelCard, weights: Weights) -> Result<Self, ModelError> {
        let network = Network::expand(arch::find(&card.architecture)?, card.labels.len());
        let input = card.preprocess.input;
        if !network.takes(input) {
            let (of, architecture) = (card.name, card.architecture);
            return Err(ModelError::TooSmall { of, architecture, input });
        }
        let weights = weights
            .check(&network.tensors())
            .map_err(|source| ModelError::Weights { of: card.name.clone(), source })?;
        let plan = EmitPlan {
            input,
            normalize: Normalize { mean: card.preprocess.mean, std: card.preprocess.std },
            metadata: card.to_metadata(),
        };
        let onnx = graph::emit(&network, &weights, &plan).to_bytes().into();
        Ok(Self { card: Arc::new(card), onnx })
    }

    fn open_onnx(path: &Path) -> Result<Self, ModelError> {
        let bytes =
            fs::read(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
        Self::from_onnx(&path.display().to_string(), bytes.into())
    }

    /// Reads the bytes of a file that `resnetd export` or `resnetd quantize` wrote.
    fn from_onnx(name: &str, bytes: Bytes) -> Result<Self, ModelError> {
        let model = onnx::Model::from_bytes(bytes.clone()).map_err(|error| {
            ModelError::NotOnnx { path: name.into(), reason: error.to_string() }
        })?;
        let card = ModelCard::from_metadata(model.all_metadata())
            .map_err(|source| ModelError::Card { of: name.to_owned(), source })?;
        Ok(Self { card: Arc::new(card), onnx: bytes })
    }
}

fn read_card(of: &str, text: &str) -> Result<ModelCard, ModelError> {
    ModelCard::from_toml(text).map_err(|source| ModelError::Card { of: of.to_owned(), source })
}

/// The weights of a folder: one file, or the index of several.
fn weights_file(folder: &Path) -> PathBuf {
    let index = folder.join("model.safetensors.index.json");
    if index.is_file() { index } else { folder.join("model.safetensors") }
}

fn weights_of(of: &str, weights: Result<Weights, WeightsError>) -> Result<Weights, ModelError> {
    weights.map_err(|source| ModelError::Weights { of: of.to_owned(), source })
}

fn embedded_names() -> String {
    EMBEDDED.iter().map(|embedded| embedded.name).collect::<Vec<_>>().join(", ")
}
