//! A model: a card and a graph.

mod card;
mod calibration; // temperature and prediction sets
mod digests; // digests that identify a model
mod embedded;
pub mod starter; // the starter model of 1,000 classes
mod golden; // photos with known logits
pub mod imagenet; // the classes of ImageNet-1k
mod labels; // class names
mod config; // config.json of timm and transformers
pub mod foreign; // ONNX files of other programs
pub mod int8; // whether int8 is fast and exact on this processor
mod external_data; // weights in external files
mod checksums; // SHA256SUMS in a folder
mod folder_content; // describes a folder without a model
mod open; // opens --model
mod precision; // fp32, int8 or fp16
mod choose; // opens a model in a precision
mod build; // builds a model from weights and a card
mod preprocess; // how an image becomes the network's input
mod task; // single-label or multi-label

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

pub use calibration::{BadCalibration, Calibration, CoverageThreshold};
pub use card::{CardError, Figure, ModelCard};
pub use choose::Chosen;
pub(crate) use choose::INT8_FILE;
pub use config::ConfigJsonError;
pub use digests::Digests;
pub use embedded::{DEFAULT, EMBEDDED, EmbeddedModel, is_embedded};
pub use folder_content::FolderContent;
pub use golden::Golden;
pub(crate) use open::{CARD, GRAPHS, WEIGHTS};
pub use precision::{BadPrecision, Precision, PrecisionChoice};
pub use preprocess::{Interpolation, Preprocess, PreprocessError, Resize};
pub use task::Task;

use crate::graph::{self, NotInferred, UnknownArchitecture};
use crate::weights::WeightsError;

/// A card and the ONNX bytes of the network it describes.
#[derive(Debug, Clone)]
pub struct Model {
    /// Labels, preprocessing and other properties.
    pub card: Arc<ModelCard>,
    /// A serialised ONNX `ModelProto`.
    pub onnx: Bytes,
}

/// Why a model cannot be opened. The message says what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Neither an embedded model nor a path.
    #[error(
        "there is no file, folder or embedded model {name:?} (embedded: {}); a model on the Hugging Face hub has \
         the form owner/name",
        embedded_names()
    )]
    Unknown {
        /// The name in `--model`.
        name: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file that is not an ONNX model.
    #[error("{} is not an ONNX model: {reason}", path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        reason: String,
    },
    /// An ONNX file of a version of the format that may have fields which resnetd does not know.
    #[error(
        "{} has IR version {found} of ONNX; this version of resnetd reads versions up to {}: export the \
         model again with an older version of ONNX",
        path.display(),
        crate::onnx::NEWEST_IR_VERSION
    )]
    NewerOnnx {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// A graph whose weights are in another file, which cannot be used.
    #[error("{}: {reason}", path.display())]
    ExternalData {
        /// The graph.
        path: PathBuf,
        /// What is wrong with the external file or its location.
        reason: String,
    },
    /// A folder without a model.
    #[error(
        "{} contains no model; looked for model.safetensors, pytorch_model.bin, an index of one of \
         them, and model.onnx{}", folder.display(), content.describe(folder)
    )]
    NoWeights {
        /// The folder.
        folder: PathBuf,
        /// What the folder contains.
        content: FolderContent,
    },
    /// A foreign graph without a card.
    #[error(
        "{} was not written by resnetd export and has no card {} with its labels and preprocessing; \
         docs/models.md shows such a card", path.display(), card.display()
    )]
    NoCard {
        /// The graph.
        path: PathBuf,
        /// The path at which a card is expected.
        card: PathBuf,
    },
    /// A foreign graph that is not an image classifier, or does not match its card.
    #[error("{} cannot be served: {source}", path.display())]
    UnsupportedGraph {
        /// The graph.
        path: PathBuf,
        /// The mismatch.
        source: foreign::UnsupportedGraph,
    },
    /// Files that differ from `SHA256SUMS`.
    #[error("{}: {reason}", path.display())]
    Checksum {
        /// The file `SHA256SUMS`.
        path: PathBuf,
        /// Which file differs, or which line is invalid.
        reason: String,
    },
    /// Another library's configuration with an unsupported setting.
    #[error(transparent)]
    Config(#[from] ConfigJsonError),
    /// Weights from which no architecture can be determined.
    #[error("{of}: {source}")]
    NotInferred {
        /// The model's name.
        of: String,
        /// Why not.
        source: NotInferred,
    },
    /// The card's architecture is not that of `--arch`.
    #[error("{of} has the architecture {found}, not {wanted}; remove --arch")]
    OtherArchitecture {
        /// The model's name.
        of: String,
        /// The card's architecture.
        found: String,
        /// The architecture in `--arch`.
        wanted: String,
    },
    /// A foreign graph in a precision other than its own.
    #[error(
        "{name} was not built by resnetd, so it is served unchanged and cannot run as {wanted}"
    )]
    Foreign {
        /// The model's name.
        name: String,
        /// The requested precision.
        wanted: Precision,
    },
    /// A model that is only available in another precision.
    #[error("{name} is {found} and not available as {wanted}\nhint: {}", other_precision(*wanted))]
    Precision {
        /// The model's name.
        name: String,
        /// The available precision.
        found: Precision,
        /// The requested precision.
        wanted: Precision,
    },
    /// Weights that exceed the range of float16.
    #[error("{of} cannot run as fp16: {source}")]
    TooLarge {
        /// The model's name.
        of: String,
        /// Which weights.
        source: graph::half::TooLarge,
    },
    /// An invalid card.
    #[error("the card of {of}: {source}")]
    Card {
        /// The model's name.
        of: String,
        /// What is wrong with it.
        source: CardError,
    },
    /// The card names an unknown architecture.
    #[error(transparent)]
    Architecture(#[from] UnknownArchitecture),
    /// The input size is too small for the network.
    #[error(
        "the card of {of}: preprocess.input is {}×{}, which is too small for {architecture}", input[0], input[1]
    )]
    TooSmall {
        /// The model's name.
        of: String,
        /// Its architecture.
        architecture: String,
        /// Height and width in pixels, from the card.
        input: [u32; 2],
    },
    /// Weights with another number of classes than the card has labels.
    #[error(
        "{of} has {labels} labels, and its weights have {classes} classes; the labels must name each class, in \
         the order of training"
    )]
    OtherClasses {
        /// The model's name.
        of: String,
        /// The number of labels.
        labels: usize,
        /// The number of classes.
        classes: usize,
    },
    /// Weights that only fit other architectures.
    #[error(
        "the weights of {of} do not fit {architecture}; they fit {}: remove --arch, or set one of these with it or in the \
         card",
        fitting.join(", ")
    )]
    WeightsOfOther {
        /// The model's name.
        of: String,
        /// The architecture in the card or in `--arch`.
        architecture: &'static str,
        /// The architectures that they fit.
        fitting: Vec<&'static str>,
    },
    /// Weights that do not match the network.
    #[error("the weights of {of}: {source}")]
    Weights {
        /// The model's name.
        of: String,
        /// All mismatches.
        source: WeightsError,
    },
}

fn embedded_names() -> String {
    EMBEDDED.iter().map(|embedded| embedded.name).collect::<Vec<_>>().join(", ")
}

/// How to get a model in the precision `wanted`.
fn other_precision(wanted: Precision) -> &'static str {
    match wanted {
        Precision::Int8 => {
            "resnetd quantize makes an int8 variant of fp32 weights; it is found if it is named model-int8.onnx and in the \
             model's folder"
        }
        Precision::Fp32 | Precision::Fp16 => {
            "use the weights from which it was quantized, or remove --precision"
        }
    }
}
