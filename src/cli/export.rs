//! `resnetd export`: a model as one self-contained ONNX file.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::{fetch, files, labels, output};
use crate::config::HubArgs;
use crate::model::{self, Model, Precision, PrecisionChoice};
use crate::pipeline::run::Device;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The model to export: an embedded name, a folder or a file, as `resnetd serve` takes it
    #[arg(long, default_value = model::DEFAULT, value_name = "NAME|PATH|ID", conflicts_with = "weights")]
    model: String,

    /// In which arithmetic: fp32, fp16, or int8 for a model that comes with an int8 form
    #[arg(long, default_value = "fp32", value_name = "PRECISION")]
    precision: PrecisionChoice,

    /// Or only weights: safetensors or a state dict of PyTorch, or the index of several files, with
    /// the tensor names of torchvision, timm or Hugging Face transformers
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,

    /// The architecture of weights that do not say it themselves; `resnetd describe` lists them
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,

    /// The class names of weights, one a line [default: those of ImageNet-1k for 1,000 classes, else
    /// class 0, class 1, …]
    #[arg(long, value_name = "FILE", requires = "weights")]
    labels: Option<PathBuf>,

    #[command(flatten)]
    hub: HubArgs,

    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

pub(super) fn run(args: &ExportArgs) -> Result<()> {
    let model = match &args.weights {
        Some(path) => path.to_str().context("the path of the weights is not UTF-8")?,
        None => &fetch::model(&args.model, &args.hub)?,
    };
    let model = Model::open_as(model, args.arch.as_deref(), args.precision, Device::Cpu)?.model;
    let model = match &args.labels {
        Some(path) => Model::of(labels::replaced(&model.card, path)?, model.graph()),
        None => carrying(model),
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

/// The model with its calibration inside: that of an int8 form is on the card beside the weights.
fn carrying(model: Model) -> Model {
    if model.card.precision == Precision::Int8 && !model.card.calibration.is_empty() {
        Model::of(model.card.as_ref().clone(), model.graph())
    } else {
        model
    }
}
