//! `resnetd classify`: classifies files and folders with the server's pipeline.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt, pin_mut, stream};
use serde::Serialize;

use super::beside::{self, BesideArgs};
use super::overlays::Overlays;
use super::{files, local, output};
use crate::config::{LimitArgs, ModelArgs};
use crate::pipeline::beside::Told;
use crate::pipeline::explain::{Explained, Maps};
use crate::pipeline::topk::{self, Narrow, Prediction};
use crate::pipeline::{Classification, ClassifyError, ImageFacts, Pipeline};
use crate::telemetry::logs::{self, LogFormat};

#[derive(Debug, Args)]
pub(super) struct ClassifyArgs {
    /// Images, or folders with images
    #[arg(required = true, value_name = "FILE|FOLDER")]
    paths: Vec<PathBuf>,

    /// Number of classes to show [default: 5; for a multi-label network all that reach --threshold]
    #[arg(long, short = 'k', value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    top_k: Option<u16>,

    /// Show only classes with at least this probability, 0 to 1
    #[arg(long, value_name = "P", value_parser = probability, conflicts_with_all = ["coverage", "explain"])]
    threshold: Option<f32>,

    /// Print one JSON object per image and line instead of tables
    #[arg(long)]
    json: bool,

    /// Also write each image, overlaid with the class activation map of its best class, as a PNG
    /// into this folder
    #[arg(long, value_name = "FOLDER")]
    explain: Option<PathBuf>,

    #[command(flatten)]
    beside: BesideArgs,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    limits: LimitArgs,
}

/// One picture's line of JSON.
#[derive(Debug, Serialize)]
struct Line<'a> {
    file: &'a Path,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome {
    Classified {
        predictions: Vec<Prediction>,
        image: ImageFacts,
        #[serde(skip)]
        unsure: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        explanation: Option<PathBuf>,
        #[serde(flatten)]
        told: Told,
    },
    Failed {
        error: String,
    },
}

pub(super) fn run(args: &ClassifyArgs) -> Result<()> {
    logs::start("warn", LogFormat::Text)?;
    let paths = files::pictures(&args.paths)?;
    let pipeline = local::start(&args.model, &args.limits)?;
    let beside = args.beside.check(&pipeline)?;
    let mut overlays = Overlays::into(args.explain.clone())?;
    let bar = output::progress(paths.len(), "pictures");
    let mut failed = 0;
    local::runtime()?.block_on(async {
        // A file that cannot be read is sent as an empty upload, and reported below.
        let uploads = paths.iter().map(|path| {
            let read = fs::read(path);
            let bytes =
                read.as_ref().map(|bytes| Bytes::copy_from_slice(bytes)).unwrap_or_default();
            ((path, read.err()), bytes)
        });
        let answers = stream::iter(uploads)
            .map(|(file, bytes)| async { (file, answer(&pipeline, bytes, args).await) })
            .buffered(pipeline.at_once());
        pin_mut!(answers);
        while let Some(((path, unreadable), answer)) = answers.next().await {
            let outcome = match (unreadable, answer) {
                (Some(error), _) => Outcome::Failed { error: format!("cannot be read: {error}") },
                (None, Err(error)) => Outcome::Failed { error: error.to_string() },
                (None, Ok((classification, overlay))) => {
                    let unsure = classification.is_unsure(pipeline.card());
                    let (classification, told) = pipeline.tell(&beside, classification);
                    let Classification { predictions, image, .. } = classification;
                    let write = |png: Bytes| overlays.write(path, &predictions[0].label, &png);
                    let explanation = overlay.map(write).transpose()?;
                    Outcome::Classified { predictions, image, unsure, explanation, told }
                }
            };
            failed += usize::from(matches!(outcome, Outcome::Failed { .. }));
            bar.suspend(|| print(path, outcome, args.json))?;
            bar.inc(1);
        }
        pipeline.finish(std::time::Duration::MAX).await;
        anyhow::Ok(())
    })?;
    bar.finish_and_clear();
    if failed > 0 {
        bail!("{failed} of {} images could not be classified", paths.len());
    }
    Ok(())
}

fn probability(typed: &str) -> Result<f32, String> {
    match typed.parse() {
        Ok(probability) if (0.0..=1.0).contains(&probability) => Ok(probability),
        _ => Err("it takes a probability, from 0 to 1".to_owned()),
    }
}

/// The picture's classes, and where that is wanted the picture with the map of the best one.
async fn answer(
    pipeline: &Pipeline,
    bytes: Bytes,
    args: &ClassifyArgs,
) -> Result<(Classification, Option<Bytes>), ClassifyError> {
    let context = local::context();
    let card = pipeline.card();
    let usual = topk::usual_top_k(card.task, args.threshold.is_some());
    let top_k = args.top_k.map_or(usual, usize::from);
    if args.explain.is_none() {
        let classification = pipeline.classify(bytes, top_k, &context).await?;
        return Ok(match args.threshold {
            None => (classification, None),
            Some(threshold) => {
                let narrow = Narrow { among: Vec::new(), threshold };
                (classification.narrowed(&card.labels, top_k, &narrow), None)
            }
        });
    }
    let Explained { classification, explanation } =
        pipeline.explain(bytes.clone(), top_k, Maps::BestOf(&[]), &context).await?;
    let png = pipeline.overlay(bytes, explanation, &context).await?;
    Ok((classification, Some(png)))
}

fn print(path: &Path, outcome: Outcome, json: bool) -> Result<()> {
    if json {
        return output::json(&Line { file: path, outcome });
    }
    match outcome {
        Outcome::Failed { error } => output::line(format!("{}: {error}", path.display())),
        Outcome::Classified { predictions, image, unsure, explanation, told } => {
            let ImageFacts { width, height, format } = image;
            let unsure = if unsure { ": not sure" } else { "" };
            output::line(format!("{} ({format} {width}×{height}){unsure}", path.display()));
            if predictions.is_empty() {
                output::line("no class reaches the threshold");
            }
            let mut table = output::table(&[]);
            for Prediction { label, probability, .. } in predictions {
                let percent = format!("{:6.2} %", f64::from(probability) * 100.0);
                table.add_row([percent, bar_of(probability), label]);
            }
            output::show(&table);
            beside::show(&told);
            if let Some(overlay) = explanation {
                output::line(format!("map: {}", overlay.display()));
            }
        }
    }
    Ok(())
}

/// A bar of 0 to 20 characters; only people see it.
fn bar_of(probability: f32) -> String {
    if !io::stdout().is_terminal() {
        return String::new();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 20")]
    let length = (probability.clamp(0.0, 1.0) * 20.0).round() as usize;
    format!("{:20}", "█".repeat(length))
}
