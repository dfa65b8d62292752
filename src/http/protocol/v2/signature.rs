//! The input and output tensors of a model.

use super::tensor::Datatype;
use crate::http::health;
use crate::http::problem::Problem;
use crate::http::{App, Server};

/// The server's name.
pub(super) const SERVER: &str = "resnetd";
/// The name of the platform for ONNX Runtime.
pub(super) const PLATFORM: &str = "onnx_onnxv1";
/// The extensions of the protocol that are completely supported.
pub(super) const EXTENSIONS: [&str; 4] =
    ["binary_tensor_data", "classification", "model_configuration", "statistics"];
/// The names of the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedInput {
    /// Preprocessed pixels.
    Pixels,
    /// Normalised floats.
    Floats,
    /// Image files.
    Image,
}

/// The names of the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedOutput {
    /// After the softmax, or the sigmoid in a multi-label network.
    Probabilities,
    /// Before the softmax or sigmoid.
    Logits,
    /// The input of the last linear layer: the pooled features, except for VGG.
    Embedding,
}

/// The order of the axes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TensorFormat {
    /// No axes of an image, as for image files and outputs.
    None,
    /// Rows, columns, channels.
    Nhwc,
    /// Channels, rows, columns.
    Nchw,
}

/// The metadata of a tensor.
#[derive(Debug, Clone)]
pub(super) struct TensorMetadata {
    pub(super) name: &'static str,
    pub(super) datatype: Datatype,
    /// The shape of one image; -1 for unknown sizes.
    pub(super) dims: Vec<i64>,
    pub(super) format: TensorFormat,
}

impl TensorMetadata {
    /// The shape with the number of images, which is variable.
    pub(super) fn shape(&self) -> Vec<i64> {
        std::iter::once(-1).chain(self.dims.iter().copied()).collect()
    }
}

impl NamedInput {
    pub(super) const ALL: [Self; 3] = [Self::Pixels, Self::Floats, Self::Image];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pixels => "pixels",
            Self::Floats => "input",
            Self::Image => "image",
        }
    }

    pub(super) fn datatype(self) -> Datatype {
        match self {
            Self::Pixels => Datatype::Uint8,
            Self::Floats => Datatype::Fp32,
            Self::Image => Datatype::Bytes,
        }
    }

    pub(super) fn describe(self, app: &App) -> TensorMetadata {
        let [height, width] = app.model.pipeline.card().preprocess.input.map(i64::from);
        let (dims, format) = match self {
            Self::Pixels => (vec![height, width, 3], TensorFormat::Nhwc),
            Self::Floats => (vec![3, height, width], TensorFormat::Nchw),
            Self::Image => (Vec::new(), TensorFormat::None),
        };
        TensorMetadata { name: self.name(), datatype: self.datatype(), dims, format }
    }
}

impl NamedOutput {
    const ALL: [Self; 3] = [Self::Probabilities, Self::Logits, Self::Embedding];

    /// The outputs of this model.
    pub(super) fn given(app: &App) -> impl Iterator<Item = Self> {
        let embedding = app.model.pipeline.gives_embedding();
        Self::ALL.into_iter().filter(move |output| *output != Self::Embedding || embedding)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Probabilities => "probabilities",
            Self::Logits => "logits",
            Self::Embedding => "embedding",
        }
    }

    pub(super) fn describe(self, app: &App) -> TensorMetadata {
        let classes = i64::try_from(app.model.pipeline.card().labels.len()).unwrap_or(-1);
        let dims = match self {
            Self::Probabilities | Self::Logits => vec![classes],
            Self::Embedding => vec![-1],
        };
        TensorMetadata {
            name: self.name(),
            datatype: Datatype::Fp32,
            dims,
            format: TensorFormat::None,
        }
    }
}

/// Checks that the server is ready.
pub(super) fn server_ready(server: &Server) -> Result<(), Problem> {
    health::why_not(server).map_or(Ok(()), |why| Err(Problem::not_ready(&why)))
}

/// Checks that the model of a request is ready.
pub(super) fn ready(app: &App) -> Result<(), Problem> {
    health::why_not_ready(app).map_or(Ok(()), |why| Err(Problem::not_ready(&why)))
}
