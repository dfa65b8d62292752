//! `resnetd quantize`: quantizes a model to int8 and measures the loss of accuracy.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Args;
use serde::Serialize;

use super::load::warm;
use super::local::{self, MeasureArgs};
use super::{fetch, files, labels, output};
use crate::config::cores;
use crate::device::Device;
use crate::eval::{Dataset, Interval, Paired};
use crate::model::{Figure, Model, ModelCard, ModelError, Precision, PrecisionChoice, foreign};
use crate::onnx;
use crate::pipeline::decode;
use crate::pipeline::preprocess::Pixels;
use crate::pipeline::run::{Batch, InputShape, Library, ProbeRuntime, SessionPlan};
use crate::pipeline::topk;
use crate::quantize::{self, LayerError, Method, Ranges};
use crate::telemetry::logs::{self, LogFormat};

/// Images per run when ranges are measured, limited because the activations of all layers are kept in memory.
const BATCH_SIZE: usize = 4;

#[derive(Debug, Args)]
pub(super) struct QuantizeArgs {
    /// Representative images, from which the quantization ranges are taken: a folder (searched
    /// recursively) or a parquet file with the column img.bytes or image.bytes; labels are not needed
    #[arg(long, value_name = "FOLDER|PARQUET")]
    calibration: PathBuf,

    /// Number of these images to use, evenly spaced
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    images: u32,

    /// Calibration method for the ranges: min-max, percentile (99.99), percentile:P with P from 50 to
    /// 100, or entropy
    #[arg(long, default_value = "percentile", value_name = "METHOD")]
    method: Method,

    /// Labelled images, on which the accuracy before and after is measured
    #[arg(long, value_name = "FOLDER|PARQUET")]
    data: Option<PathBuf>,

    /// Output file; `resnetd serve` finds it if it is named model-int8.onnx and in the
    /// model's folder
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    common: MeasureArgs,
}

#[derive(Debug, Serialize)]
struct QuantizeReport {
    model: String,
    method: String,
    images: usize,
    bytes_before: usize,
    bytes_after: usize,
    layers: Vec<LayerError>,
    accuracy: Option<Accuracy>,
}

#[derive(Debug, Serialize)]
struct Accuracy {
    #[serde(flatten)]
    counts: Paired,
    before: Interval,
    after: Interval,
    difference: Interval,
}

pub(super) fn run(args: &QuantizeArgs) -> Result<()> {
    logs::start("warn", LogFormat::Text)?;
    let fp32 = PrecisionChoice::Only(Precision::Fp32);
    let of = &args.common.model;
    let model = fetch::model(&of.model, &of.hub)?;
    let mut float = Model::open_as(&model, of.arch.as_deref(), fp32, Device::Cpu)?.model;
    if let Some(path) = &of.labels {
        float.card = labels::replaced(&float.card, path)?.into();
    }
    if float.card.architecture == foreign::ARCHITECTURE {
        let (name, wanted) = (float.card.name.clone(), Precision::Int8);
        return Err(ModelError::Foreign { name, wanted }.into());
    }
    if args.data.is_some() {
        local::single_label(&float.card, "--data, which measures top-1 accuracy,")?;
    }
    let library = Library::load(args.common.model.onnxruntime.as_deref())?;
    let runtime = ProbeRuntime { library: &library, plan: SessionPlan::on_cpu(cores()) };
    let batches = calibration(args, &float)?;

    let graph = float.graph();
    let ranges = calibrate(runtime, &graph, &batches, args.method)?;
    let layers = quantize::compare(runtime, &graph, &ranges, &batches)?;
    let card = ModelCard {
        precision: Precision::Int8,
        figures: Vec::new(),          // measured in float32
        calibration: BTreeMap::new(), // belongs to another int8 variant
        ..float.card.as_ref().clone()
    };
    let int8 = Model::of(card, quantize::quantize(&graph, &ranges));
    let accuracy = args.data.as_deref().map(|data| accuracy(args, &library, [&float, &int8], data));
    let accuracy = accuracy.transpose()?;
    let int8 = match &accuracy {
        Some(accuracy) => with_figure(&int8, accuracy),
        None => int8,
    };
    files::write_atomically(&args.output, &int8.onnx)?;

    let report = QuantizeReport {
        model: float.card.name.clone(),
        method: args.method.to_string(),
        images: batches.iter().map(Batch::len).sum(),
        bytes_before: float.onnx.len(),
        bytes_after: int8.onnx.len(),
        layers,
        accuracy,
    };
    if args.common.json {
        return output::json(&report);
    }
    show(&report, &args.output);
    Ok(())
}

/// Adds the measured accuracy to the model's card.
fn with_figure(int8: &Model, Accuracy { counts, after, .. }: &Accuracy) -> Model {
    let figure = Figure {
        metric: "top-1".to_owned(),
        value: after.share,
        dataset: format!("the {} images given to resnetd quantize as --data", counts.images),
        command: "resnetd eval --precision int8 --data DATA".to_owned(),
    };
    let card = ModelCard { figures: vec![figure], ..int8.card.as_ref().clone() };
    Model::of(card, int8.graph())
}

/// The calibration images as batches of the network's input.
fn calibration(args: &QuantizeArgs, model: &Model) -> Result<Vec<Batch>> {
    let uploads = sample(&args.calibration, args.images as usize)?;
    let shape = InputShape::of(&model.card.preprocess);
    let bar = output::progress(uploads.len(), "images decoded");
    let mut batches: Vec<Batch> = Vec::new();
    for (name, bytes) in uploads {
        let pixels = pixels(&bytes, &args.common, model).with_context(|| name)?;
        if batches.last().is_none_or(|batch| batch.len() == BATCH_SIZE) {
            batches.push(Batch::with_capacity(shape, BATCH_SIZE));
        }
        batches.last_mut().expect("a batch was just added").push(&pixels);
        bar.inc(1);
    }
    bar.finish_and_clear();
    ensure!(!batches.is_empty(), "{} has no images", args.calibration.display());
    Ok(batches)
}

fn pixels(bytes: &Bytes, args: &MeasureArgs, model: &Model) -> Result<Pixels> {
    let preprocess = &model.card.preprocess;
    let header = decode::inspect(bytes, &args.limits.limits())?;
    let header = args.model.jpeg_scaling.plan(header, preprocess);
    Ok(preprocess.apply(&decode::decode(bytes, &header, decode::Watch::never())?))
}

/// Whether image `index` of `all` is one of `wanted` that are evenly spaced.
fn is_sampled(index: usize, all: usize, wanted: usize) -> bool {
    let place = |index: usize| (index * wanted).div_ceil(all.max(1));
    wanted >= all || place(index) < place(index + 1)
}

/// At most `wanted` images with their names, evenly spaced.
fn sample(path: &Path, wanted: usize) -> Result<Vec<(String, Bytes)>> {
    if path.is_file() {
        let rows = Dataset::open(path, &[])?.len();
        let images = Dataset::images(path)?.enumerate();
        let images = images.filter(|(row, _)| is_sampled(*row, rows, wanted));
        return images.map(|(row, image)| Ok((format!("row {row}"), image?))).collect();
    }
    let paths = files::images(&[path.to_owned()])?;
    let sampled = paths.iter().enumerate();
    let sampled = sampled.filter(|(index, _)| is_sampled(*index, paths.len(), wanted));
    let read = sampled.map(|(_, path)| {
        let name = path.display().to_string();
        let bytes = fs::read(path).with_context(|| format!("cannot read {name}"))?;
        Ok((name, bytes.into()))
    });
    read.collect()
}

fn calibrate(
    runtime: ProbeRuntime<'_>,
    graph: &onnx::OnnxModel,
    batches: &[Batch],
    method: Method,
) -> Result<Ranges> {
    let runs = if method == Method::MinMax { 1 } else { 2 };
    let bar = output::progress(runs * batches.len(), "runs");
    let ranges = quantize::calibrate(runtime, graph, batches, method, &|| bar.inc(1))?;
    bar.finish_and_clear();
    Ok(ranges)
}

/// Measures both models on labelled images, with the server's pipeline.
fn accuracy(
    args: &QuantizeArgs,
    library: &Library,
    models: [&Model; 2],
    data: &Path,
) -> Result<Accuracy> {
    let [mut before, mut after] = [Vec::new(), Vec::new()];
    for (model, answers) in models.into_iter().zip([&mut before, &mut after]) {
        *answers = answers_of(args, library, model, data)?;
    }
    let mut counts = Paired::default();
    for ((truth, first), (_, second)) in before.into_iter().zip(after) {
        counts.add(truth, first, second);
    }
    let (before, after) = (counts.share(counts.first), counts.share(counts.second));
    Ok(Accuracy { counts, before, after, difference: counts.difference() })
}

/// The true class of each image, and the model's answer.
fn answers_of(
    args: &QuantizeArgs,
    library: &Library,
    model: &Model,
    data: &Path,
) -> Result<Vec<(usize, Option<usize>)>> {
    let concurrency = args.common.model.concurrency(cores())?;
    let (warm, _) = warm(model, Device::Cpu, concurrency, library)?;
    let pipeline = local::pipeline(model.clone(), warm, &args.common.model, &args.common.limits)?;
    let dataset = Dataset::open(data, &model.card.labels)?;
    let bar = output::progress(dataset.len(), &format!("images in {}", model.card.precision));
    let mut answers = Vec::with_capacity(dataset.len());
    local::runtime()?.block_on(local::classify_labelled(&pipeline, dataset, |truth, answer| {
        let best = answer
            .ok()
            .and_then(|answer| topk::best(&answer.scores.probabilities, 1).first().copied());
        answers.push((truth, best));
        bar.inc(1);
    }))?;
    bar.finish_and_clear();
    let failed = answers.iter().filter(|(_, best)| best.is_none()).count();
    if failed > 0 {
        tracing::warn!(count = failed, "images could not be classified, and count as wrong");
    }
    Ok(answers)
}

fn show(report: &QuantizeReport, path: &Path) {
    let mut table = output::table(&["layer output", "SQNR"]);
    for layer in &report.layers {
        table.add_row([layer.value.clone(), format!("{:.1} dB", layer.sqnr)]);
    }
    output::show(&table);
    let [before, after] =
        [report.bytes_before, report.bytes_after].map(|bytes| bytesize::ByteSize(bytes as u64));
    output::line(format!(
        "\n{}: {} in int8, ranges by {} over {} images; {before} became {after}",
        path.display(),
        report.model,
        report.method,
        report.images,
    ));
    if let Some(Accuracy { counts, before, after, difference }) = &report.accuracy {
        let percent = |Interval { share, low, high }: &Interval| {
            format!("{:.2} % ({:.2} to {:.2})", 100.0 * share, 100.0 * low, 100.0 * high)
        };
        output::line(format!(
            "top-1 on {} images, with 95 % intervals\n  fp32        {}\n  int8        {}\n  \
             difference  {}\n  agreement   {:.2} %",
            counts.images,
            percent(before),
            percent(after),
            percent(difference),
            100.0 * counts.share(counts.agree).share,
        ));
    }
}
