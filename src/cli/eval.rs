//! `resnetd eval`: accuracy on labelled images.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::calibrate::{self, CalibrateArgs};
use super::local::{self, MeasureArgs};
use super::output;
use crate::eval::{Dataset, Report};
use crate::pipeline::topk;
use crate::telemetry::logs::{self, LogFormat};

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// Labelled images: a folder with one folder per class, or a parquet file with the columns
    /// img.bytes or image.bytes, and label
    #[arg(long, value_name = "FOLDER|PARQUET")]
    data: PathBuf,

    #[command(flatten)]
    calibrate: CalibrateArgs,

    #[command(flatten)]
    common: MeasureArgs,
}

#[derive(Debug, Serialize)]
struct EvalReport<'a> {
    model: &'a str,
    top1: f64,
    top5: f64,
    #[serde(flatten)]
    report: &'a Report,
    images_per_second: f64,
}

pub(super) fn run(args: &EvalArgs) -> Result<()> {
    logs::start("warn", LogFormat::Text)?;
    if args.calibrate.calibrate {
        return calibrate::run(&args.calibrate, &args.data, &args.common);
    }
    let pipeline = local::start(&args.common.model, &args.common.limits)?;
    local::single_label(pipeline.card(), "top-1 and top-5 accuracy")?;
    let labels = &pipeline.card().labels;
    let dataset = Dataset::open(&args.data, labels)?;
    let bar = output::progress(dataset.len(), "images");
    let mut report = Report::new(labels.len());
    let started = Instant::now();
    local::runtime()?.block_on(local::classify_labelled(&pipeline, dataset, |truth, answer| {
        let answers = match &answer {
            Ok(classification) => topk::best(&classification.scores.probabilities, 5),
            Err(error) => {
                bar.suspend(|| tracing::warn!(%error, "an image could not be classified"));
                Vec::new()
            }
        };
        report.add(truth, &answers);
        bar.inc(1);
    }))?;
    bar.finish_and_clear();
    #[expect(clippy::cast_precision_loss, reason = "counts of images are far below 2^53")]
    let images_per_second = report.images as f64 / started.elapsed().as_secs_f64();
    let model = &pipeline.card().name;
    if args.common.json {
        let (top1, top5) = (report.top1(), report.top5());
        let measured = EvalReport { model, top1, top5, report: &report, images_per_second };
        return output::json(&measured);
    }
    show(model, &report, images_per_second, labels);
    Ok(())
}

fn show(model: &str, report: &Report, images_per_second: f64, labels: &[String]) {
    let Report { images, failed, confusion, .. } = report;
    output::line(format!(
        "{model} on {images} images ({failed} could not be classified)\n  \
         top-1  {:.2} %\n  top-5  {:.2} %\n  speed  {images_per_second:.0} images/s",
        report.top1() * 100.0,
        report.top5() * 100.0,
    ));
    // A larger confusion matrix is unreadable as a table; --json has it.
    if labels.len() <= 20 {
        let header: Vec<&str> =
            ["truth \\ answer"].into_iter().chain(labels.iter().map(String::as_str)).collect();
        let mut table = output::table(&header);
        for (label, row) in labels.iter().zip(confusion) {
            table.add_row([label.clone()].into_iter().chain(row.iter().map(usize::to_string)));
        }
        output::show(&table);
    }
}
