//! `resnetd eval --calibrate`: fits a calibration on labelled images and writes it to the model's
//! card.

use std::path::{Path, PathBuf};

use anyhow::Result;
use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt, pin_mut};
use serde::Serialize;

use super::card_file::{CardFile, Existing};
use super::local::{self, MeasureArgs};
use super::output;
use crate::config::{Calibrated, ModelArgs};
use crate::eval::calibrate::{Evidence, Fitted, Labelled, Split};
use crate::eval::{Dataset, Report};
use crate::model::{Calibration, CoverageThreshold, ModelCard};
use crate::pipeline::{Pipeline, topk};

#[derive(Debug, Args)]
pub(super) struct CalibrateArgs {
    /// Fit a temperature and the thresholds of prediction sets on half of the images, and measure
    /// them on the other half. See docs/calibration.md
    #[arg(long)]
    pub(super) calibrate: bool,

    /// Write the calibration to the model's card: a card.toml, or an .onnx file with an embedded
    /// card
    #[arg(long, value_name = "CARD", requires = "calibrate")]
    write_card: Option<PathBuf>,

    /// Replace the card's calibration for this precision, if it has one
    #[arg(long, requires = "write_card")]
    replace: bool,

    /// Name of the dataset in the card [default: the name of the file or folder]
    #[arg(long, value_name = "NAME", requires = "calibrate")]
    dataset: Option<String>,
}

#[derive(Debug, Serialize)]
struct CalibrateReport<'a> {
    model: &'a str,
    precision: String,
    images: usize,
    failed: usize,
    top1: f64,
    top5: f64,
    #[serde(flatten)]
    fitted: &'a Fitted,
}

pub(super) fn run(args: &CalibrateArgs, data: &Path, common: &MeasureArgs) -> Result<()> {
    let existing = if args.replace { Existing::Replace } else { Existing::Keep };
    let file = args.write_card.as_deref().map(CardFile::open).transpose()?;
    // The fit uses the uncalibrated logits.
    let model = ModelArgs { calibrated: Calibrated::Off, ..common.model.clone() };
    let pipeline = local::start(&model, &common.limits)?;
    let card = pipeline.card();
    local::single_label(card, "calibration")?;
    if let Some(file) = file {
        file.check(card, existing)?; // before measuring
    }
    let (report, evidence) = local::runtime()?.block_on(classify_dataset(&pipeline, data))?;
    let fitted = evidence.fit()?;
    if let Some(path) = &args.write_card {
        // It may have changed during the measurement, for example by that of another precision.
        let file = CardFile::open(path)?;
        file.check(card, existing)?;
        let dataset = args.dataset.clone().unwrap_or_else(|| name_of(data));
        let calibration = calibration(&fitted, dataset, command(&model.model, card, data));
        file.write(card.precision, &calibration)?;
    }
    if common.json {
        return output::json(&CalibrateReport {
            model: &card.name,
            precision: card.precision.to_string(),
            images: report.images,
            failed: report.failed,
            top1: report.top1(),
            top5: report.top5(),
            fitted: &fitted,
        });
    }
    show(card, &report, &fitted);
    if let Some(path) = &args.write_card {
        output::line(format!("written to {}", path.display()));
    }
    Ok(())
}

/// Classifies every image, and assigns its logits to a part of the data according to the hash of its bytes.
async fn classify_dataset(pipeline: &Pipeline, data: &Path) -> Result<(Report, Evidence)> {
    let labels = &pipeline.card().labels;
    let dataset = Dataset::open(data, labels)?;
    let bar = output::progress(dataset.len(), "images");
    // An example that cannot be read is sent as an empty upload; its error ends the loop below.
    let uploads = dataset.examples(labels)?.map(|example| match example {
        Ok(example) => (Ok((example.truth, Split::of(&example.bytes))), example.bytes),
        Err(error) => (Err(error), Bytes::new()),
    });
    let answers = local::classify_all(pipeline, uploads);
    pin_mut!(answers);
    let mut report = Report::new(labels.len());
    let mut evidence = Evidence::default();
    while let Some((example, answer)) = answers.next().await {
        let (truth, part) = example?;
        match answer {
            Ok(classification) => {
                report.add(truth, &topk::best(&classification.scores.probabilities, 5));
                evidence.add(part, Labelled { logits: classification.scores.logits, truth });
            }
            Err(error) => {
                bar.suspend(|| tracing::warn!(%error, "an image could not be classified"));
                report.add(truth, &[]);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((report, evidence))
}

fn calibration(fitted: &Fitted, dataset: String, command: String) -> Calibration {
    let [ece_before, ece_after] = fitted.ece.map(|ece| (ece * 1e5).round() / 1e5);
    Calibration {
        temperature: fitted.temperature,
        dataset,
        temperature_images: fitted.parts.temperature,
        threshold_images: fitted.parts.thresholds,
        measured_images: fitted.parts.measured,
        ece_before,
        ece_after,
        command,
        sets: fitted.sets.clone(),
    }
}

/// The command for readers of the card: file names without this machine's folders.
fn command(model: &str, card: &ModelCard, data: &Path) -> String {
    let path = Path::new(model);
    let model = if path.exists() { name_of(path) } else { model.to_owned() };
    let (precision, data) = (card.precision, name_of(data));
    format!("resnetd eval --calibrate --precision {precision} --model {model} --data {data}")
}

/// The last component of a path, also of a path such as `.`.
fn name_of(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    full.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn show(card: &ModelCard, report: &Report, fitted: &Fitted) {
    let Fitted { temperature, parts, ece, nll, sets } = fitted;
    let percent = |share: f64| share * 100.0;
    output::line(format!(
        "{} in {} on {} images ({} could not be classified)\n  top-1  {:.2} %\n  top-5  {:.2} %\n\
         temperature {temperature}, fitted on {} images\n\
         on {} others, before and after\n  \
         calibration error        {:.2} %  {:.2} %\n  negative log-likelihood  {:.4}  {:.4}\n\
         sets with thresholds from {} images, measured on the same others",
        card.name,
        card.precision,
        report.images,
        report.failed,
        percent(report.top1()),
        percent(report.top5()),
        parts.temperature,
        parts.measured,
        percent(ece[0]),
        percent(ece[1]),
        nll[0],
        nll[1],
        parts.thresholds,
    ));
    let mut table = output::table(&["promised", "found", "mean size", "threshold"]);
    for CoverageThreshold { coverage, threshold, found, mean_size } in sets {
        table.add_row([
            format!("{:.1} %", percent(*coverage)),
            format!("{:.2} %", percent(*found)),
            format!("{mean_size:.2}"),
            format!("{threshold:.6}"),
        ]);
    }
    output::show(&table);
}
