//! `resnetd export`: writes a model as one self-contained ONNX file.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::{fetch, files, labels, output};
use crate::config::HubArgs;
use crate::device::Device;
use crate::model::{self, Model, Precision, PrecisionChoice};
use crate::telemetry::logs::{self, LogFormat};

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The model to export: the name of an embedded model, a folder, a file or a hub id, as for
    /// `resnetd serve`
    #[arg(long, default_value = model::DEFAULT, value_name = "NAME|PATH|ID", conflicts_with = "weights")]
    model: String,

    /// Precision: fp32, fp16, or int8 for a model that has an int8 variant. ONNX files of other
    /// programs keep their own precision
    #[arg(long, default_value = "fp32", value_name = "PRECISION")]
    precision: PrecisionChoice,

    /// Weights without a card, instead of --model: a safetensors file, a PyTorch state dict, or the
    /// index of a sharded checkpoint, with the tensor names of torchvision, timm or Hugging Face
    /// transformers
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,

    /// Architecture of the weights, where it cannot be detected; `resnetd describe` lists all
    /// architectures
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,

    /// File with the class names of the weights, one per line [default: the ImageNet-1k labels for
    /// 1,000 classes, otherwise class 0, class 1, …]
    #[arg(long, value_name = "FILE", requires = "weights")]
    labels: Option<PathBuf>,

    /// Output file
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    hub: HubArgs,
}

pub(super) fn run(args: &ExportArgs) -> Result<()> {
    logs::start("warn", LogFormat::Text)?;
    let model = match &args.weights {
        Some(path) => path.to_str().context("the path of the weights is not UTF-8")?,
        None => &fetch::model(&args.model, &args.hub)?,
    };
    let model = Model::open_as(model, args.arch.as_deref(), args.precision, Device::Cpu)?.model;
    let model = match &args.labels {
        Some(path) => Model::of(labels::replaced(&model.card, path)?, model.graph()),
        None => with_calibration(model),
    };
    files::write_atomically(&args.output, &model.onnx)?;
    let (card, bytes) = (&model.card, bytesize::ByteSize(model.onnx.len() as u64));
    output::line(format!(
        "{}: {} ({}, {} classes), {bytes}",
        args.output.display(),
        card.name,
        card.architecture,
        card.labels.len()
    ));
    Ok(())
}

/// Stores the calibration in the file: that of an int8 model is in the card next to the weights.
fn with_calibration(model: Model) -> Model {
    if model.card.precision == Precision::Int8 && !model.card.calibration.is_empty() {
        Model::of(model.card.as_ref().clone(), model.graph())
    } else {
        model
    }
}
