//! `resnetd export`: a model as one self-contained ONNX file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{files, output};
use crate::graph::{Architecture, arch};
use crate::model::{self, Model, ModelCard, Precision, PrecisionChoice};
use crate::pipeline::preprocess::Preprocess;
use crate::pipeline::run::Device;
use crate::weights::Weights;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The model to export: an embedded name or a folder with card.toml and model.safetensors
    #[arg(long, default_value = model::DEFAULT, value_name = "NAME|FOLDER", conflicts_with = "arch")]
    model: String,

    /// In which arithmetic: fp32, fp16, or int8 for a model that comes with an int8 form
    #[arg(long, default_value = "fp32", value_name = "PRECISION", conflicts_with = "arch")]
    precision: PrecisionChoice,

    /// Or: the architecture to build, as `resnetd describe` lists them
    #[arg(long, value_name = "ARCH", requires = "weights")]
    arch: Option<String>,

    /// Its weights: safetensors, or the index of several files, with the tensor names of
    /// torchvision, timm or Hugging Face transformers
    #[arg(long, value_name = "FILE", requires = "arch")]
    weights: Option<PathBuf>,

    /// Its class names, one a line [default: class 0, class 1, …]
    #[arg(long, value_name = "FILE", requires = "arch")]
    labels: Option<PathBuf>,

    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

pub(super) fn run(args: &ExportArgs) -> Result<()> {
    let model = match (&args.arch, &args.weights) {
        (Some(arch), Some(weights)) => from_weights(args, arch::find(arch)?, weights)?,
        _ => Model::open_as(&args.model, args.precision, Device::Cpu)?.model,
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

/// Weights say nothing of labels and preprocessing: the architecture's usual ones are taken.
fn from_weights(args: &ExportArgs, arch: &Architecture, path: &Path) -> Result<Model> {
    let weights =
        Weights::open(path).with_context(|| format!("the weights in {}", path.display()))?;
    let classifier = weights.iter().find(|(name, _)| *name == "fc.weight");
    let rows = classifier.and_then(|(_, tensor)| tensor.shape().first().copied());
    let classes = rows.unwrap_or(arch.classes);
    let card = ModelCard {
        name: arch.name.to_owned(),
        architecture: arch.name.to_owned(),
        description: String::new(),
        license: String::new(),
        precision: Precision::Fp32,
        labels: labels(args, classes)?,
        preprocess: Preprocess::usual(arch.input),
        figures: Vec::new(),
        golden: Vec::new(),
    };
    Ok(Model::build(card, weights)?)
}

fn labels(args: &ExportArgs, classes: usize) -> Result<Vec<String>> {
    let Some(path) = &args.labels else {
        return Ok((0..classes).map(|class| format!("class {class}")).collect());
    };
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let labels: Vec<String> = text.lines().map(|label| label.trim().to_owned()).collect();
    if labels.len() != classes {
        bail!("{} has {} lines, the weights have {classes} classes", path.display(), labels.len());
    }
    Ok(labels)
}
