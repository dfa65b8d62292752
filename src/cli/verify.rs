//! `resnetd verify`: checks that a model gives the logits of the framework that trained it.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde::Serialize;

use super::local::{self, MeasureArgs};
use super::output;
use crate::eval::reference::{self, Reference};
use crate::pipeline::Pipeline;
use crate::pipeline::golden::{self, Furthest};
use crate::telemetry::logs::{self, LogFormat};

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Photos with the logits of the framework that trained the weights: an .npz file written by
    /// training/reference.py
    #[arg(long, value_name = "NPZ")]
    reference: PathBuf,

    /// Largest difference allowed, as a share of the largest logit. In fp32, PNGs of the network's
    /// input size differ by less than 0.0001; decoding and resizing add to that, and int8 adds most
    #[arg(long, default_value_t = 0.005, value_name = "SHARE")]
    tolerance: f32,

    #[command(flatten)]
    common: MeasureArgs,
}

#[derive(Debug, Serialize)]
struct VerifyReport {
    model: String,
    pass: bool,
    tolerance: f32,
    photos: Vec<Compared>,
}

/// One photo: where its logits differ most.
#[derive(Debug, Serialize)]
struct Compared {
    photo: String,
    label: String,
    expected: f32,
    found: f32,
    /// As a share of the largest logit.
    difference: f32,
    same_best_class: bool,
}

pub(super) fn run(args: &VerifyArgs) -> Result<()> {
    logs::start("warn", LogFormat::Text)?;
    let references = reference::open(&args.reference)?;
    let pipeline = local::start(&args.common.model, &args.common.limits)?;
    let runtime = local::runtime()?;
    let photos = references
        .into_iter()
        .map(|reference| runtime.block_on(compare(&pipeline, reference)))
        .collect::<Result<Vec<_>>>()?;
    let pass = photos.iter().all(|photo| photo.difference <= args.tolerance);
    let model = pipeline.card().name.clone();
    let verdict = VerifyReport { model, pass, tolerance: args.tolerance, photos };
    if args.common.json {
        output::json(&verdict)?;
    } else {
        show(&verdict);
    }
    if !pass {
        bail!("the model's logits differ from the reference by more than --tolerance");
    }
    Ok(())
}

/// A photo through the whole pipeline, from bytes to logits.
async fn compare(pipeline: &Pipeline, reference: Reference) -> Result<Compared> {
    let Reference { name, photo, logits } = reference;
    let answer = pipeline.classify(photo, &local::context()).await?;
    let found = answer.scores.logits;
    ensure!(
        found.len() == logits.len(),
        "the model has {} classes, the reference {}",
        found.len(),
        logits.len()
    );
    let best = |scores: &[f32]| (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let Furthest { class, difference } = golden::furthest(&found, &logits);
    Ok(Compared {
        photo: name,
        label: pipeline.card().labels[class].clone(),
        expected: logits[class],
        found: found[class],
        difference,
        same_best_class: best(&found) == best(&logits),
    })
}

fn show(verdict: &VerifyReport) {
    let mut table =
        output::table(&["photo", "furthest off", "reference", "here", "difference", "best class"]);
    for photo in &verdict.photos {
        table.add_row([
            photo.photo.clone(),
            photo.label.clone(),
            photo.expected.to_string(),
            photo.found.to_string(),
            format!("{:.6}", photo.difference),
            (if photo.same_best_class { "the same" } else { "another" }).to_owned(),
        ]);
    }
    output::show(&table);
    let (word, tolerance) = (if verdict.pass { "pass" } else { "FAIL" }, verdict.tolerance);
    let largest = verdict.photos.iter().map(|photo| photo.difference).fold(0.0_f32, f32::max);
    output::line(format!(
        "\n{word}: {} differs by at most {largest:.6} of the largest logit; {tolerance} passes",
        verdict.model
    ));
}
