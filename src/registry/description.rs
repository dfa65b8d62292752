//! The description of a model for clients.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{Digests, Model, ModelCard};
use crate::pipeline::preprocess::JpegScaling;

/// The model and how it runs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Description {
    /// The card: name, architecture, labels, preprocessing, measured figures such as accuracy; without its golden photos.
    #[serde(flatten)]
    pub card: ModelCard,
    /// Whether it is one of the small embedded models, which are for demonstration.
    pub demonstration: bool,
    /// The number of golden photos that were checked when the model was loaded.
    pub golden_photos: usize,
    /// Digests that identify the model.
    pub digests: Digests,
    /// Why this precision was chosen.
    pub precision_because: &'static str,
    /// The device in use: `cpu` or `cuda:N`.
    pub device: String,
    /// Why this device was chosen.
    pub device_because: &'static str,
    /// Number of sessions that run in parallel.
    pub sessions: usize,
    /// Threads in each session.
    pub threads: usize,
    /// Maximum batch size.
    pub max_batch: usize,
    /// Number of dedicated decoder threads; 0 if the sessions' workers decode.
    pub decoders: usize,
    /// Whether large JPEGs are decoded at reduced size.
    pub jpeg_scaling: JpegScaling,
    /// Versions of resnetd and ONNX Runtime.
    pub versions: Versions,
}

impl Description {
    /// The card without golden photos and unused calibrations, and the number of golden photos.
    #[must_use]
    pub fn public_card(model: &Model) -> (ModelCard, usize) {
        let mut card = ModelCard { golden: Vec::new(), ..model.card.as_ref().clone() };
        let running = card.precision;
        card.calibration.retain(|&precision, _| precision == running); // only the calibration of the precision in use
        (card, model.card.golden.len())
    }
}

/// Versions of resnetd and ONNX Runtime.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Versions {
    /// Version of resnetd.
    pub resnetd: &'static str,
    /// Version of the loaded ONNX Runtime.
    pub onnxruntime: String,
}

impl Versions {
    /// The versions of this program and of ONNX Runtime.
    #[must_use]
    pub fn with(onnxruntime: &str) -> Self {
        Self { resnetd: env!("CARGO_PKG_VERSION"), onnxruntime: onnxruntime.to_owned() }
    }
}
