//! `resnetd classify`: classifies files and folders with the server's pipeline.

mod postprocess; // prediction sets and roll-ups
mod format;
mod overlays;
mod sink;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt, pin_mut, stream};
use indicatif::ProgressBar;

use super::{files, local, output};
use crate::config::{LimitArgs, ModelArgs};
use crate::pipeline::explain::{Explained, Maps};
use crate::pipeline::postprocess::{PostprocessOptions, Selection};
use crate::pipeline::topk::{self, ClassFilter};
use crate::pipeline::{Classification, ClassifyError, Pipeline};
use crate::telemetry::logs::{self, LogFormat};
use format::{FileOutcome, OutputFormat, OutputLayout, Record};
use overlays::Overlays;
use postprocess::PostprocessArgs;
use sink::{LineFile, Sink, WriteOutcome};

#[derive(Debug, Args)]
pub(super) struct ClassifyArgs {
    /// Images, or folders with images; - reads an image from standard input
    #[arg(required = true, value_name = "FILE|FOLDER|-")]
    paths: Vec<PathBuf>,

    /// Number of classes to show [default: 5; for a multi-label network all that reach --threshold]
    #[arg(long, short = 'k', value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    top_k: Option<u16>,

    /// Show only classes with at least this probability, 0 to 1
    #[arg(long, value_name = "P", value_parser = probability, conflicts_with_all = ["coverage", "explain"])]
    threshold: Option<f32>,

    /// Output format [default: according to the extension of --output, otherwise text]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<OutputFormat>,

    /// The same as --format jsonl
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Write the results to this file, a whole line at a time, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Continue the file of --output: skip the images for which it has lines
    #[arg(long, requires = "output", conflicts_with = "explain")]
    resume: bool,

    /// Also write each image, overlaid with the class activation map of its best class, as a PNG
    /// into this folder
    #[arg(long, value_name = "FOLDER")]
    explain: Option<PathBuf>,

    #[command(flatten)]
    postprocess: PostprocessArgs,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    limits: LimitArgs,
}

/// Stands for standard input among the paths.
const STDIN: &str = "-";

pub(super) fn run(args: &ClassifyArgs) -> Result<()> {
    logs::start("warn", LogFormat::Text)?;
    let format = args.chosen_format()?;
    let mut paths = files::images(&args.paths)?;
    let from_stdin = paths.iter().filter(|path| path.as_os_str() == STDIN).count();
    ensure!(from_stdin <= 1, "{STDIN} is named {from_stdin} times; standard input has one image");
    let (pipeline, digest) = local::start_with_digest(&args.model, &args.limits)?;
    let layout = OutputLayout {
        format,
        classes: args.top_k(&pipeline).min(pipeline.card().labels.len()),
        model: pipeline.card().name.clone(),
        digest,
    };
    let sink = args.sink(&layout, &mut paths)?;
    let mut run = ClassifyRun {
        args,
        pipeline: &pipeline,
        postprocess: args.postprocess.check(&pipeline, args.selection(&pipeline))?,
        overlays: Overlays::into(args.explain.clone())?,
        layout,
        sink,
        bar: output::progress(paths.len(), "images"),
        failed: 0,
    };
    let outcome = local::runtime()?.block_on(async {
        let outcome = run.classify(&paths).await;
        // Also after an error, because the process must not exit while workers run.
        pipeline.finish(std::time::Duration::MAX).await;
        outcome
    });
    run.bar.finish_and_clear();
    if outcome? == WriteOutcome::All && run.failed > 0 {
        bail!("{} of {} images could not be classified", run.failed, paths.len());
    }
    Ok(())
}

impl ClassifyArgs {
    /// The requested format, or the one of the output's extension.
    fn chosen_format(&self) -> Result<OutputFormat> {
        let ending = self.output.as_ref().and_then(|path| path.extension()?.to_str());
        let format = self.format.unwrap_or(match ending {
            _ if self.json => OutputFormat::Jsonl,
            Some("jsonl" | "ndjson" | "json") => OutputFormat::Jsonl,
            Some("csv") => OutputFormat::Csv,
            Some("tsv") => OutputFormat::Tsv,
            _ => OutputFormat::Text,
        });
        let has_columns = matches!(format, OutputFormat::Csv | OutputFormat::Tsv);
        ensure!(
            !(has_columns && self.postprocess.is_any()),
            "csv and tsv have no columns for --coverage and --rollup; use --format jsonl"
        );
        ensure!(
            !self.resume || has_columns || format == OutputFormat::Jsonl,
            "--resume cannot read the lines of --format text and table; use csv, tsv or jsonl"
        );
        Ok(format)
    }

    fn top_k(&self, pipeline: &Pipeline) -> usize {
        let usual = topk::default_top_k(pipeline.card().task, self.threshold);
        self.top_k.map_or(usual, usize::from)
    }

    /// The classes to show, without a prediction set.
    fn selection(&self, pipeline: &Pipeline) -> Selection {
        let top_k = self.top_k(pipeline);
        match self.threshold {
            None => Selection::Top(top_k),
            Some(threshold) => {
                Selection::Filtered(ClassFilter { among: Vec::new(), threshold, top_k })
            }
        }
    }

    /// Where the lines go; removes the images from `paths` that are there already.
    fn sink(&self, layout: &OutputLayout, paths: &mut Vec<PathBuf>) -> Result<Sink> {
        let (mut sink, is_new) = match &self.output {
            None => (Sink::Stdout, true),
            Some(path) if self.resume => {
                let (file, done) = LineFile::resume(path, layout)?;
                // Standard input is another image each time.
                paths.retain(|path| {
                    path.as_os_str() == STDIN
                        || !done.contains(&layout.cell(&path.to_string_lossy()))
                });
                let is_new = file.is_empty();
                (Sink::File(file), is_new)
            }
            Some(path) => (Sink::File(LineFile::create(path)?), true),
        };
        if let Some(header) = layout.header().filter(|_| is_new) {
            sink.write(&header)?; // if the reader has closed the pipe, the first image's line detects it
        }
        Ok(sink)
    }
}

/// The state of a run.
struct ClassifyRun<'a> {
    args: &'a ClassifyArgs,
    pipeline: &'a Pipeline,
    postprocess: PostprocessOptions,
    overlays: Overlays,
    layout: OutputLayout,
    sink: Sink,
    bar: ProgressBar,
    failed: usize,
}

impl ClassifyRun<'_> {
    /// Classifies all images, in order, and writes their lines.
    async fn classify(&mut self, paths: &[PathBuf]) -> Result<WriteOutcome> {
        let (args, pipeline) = (self.args, self.pipeline);
        // A file that cannot be read is sent as an empty upload; its error is reported below.
        let uploads = paths.iter().map(|path| match read(path, args) {
            Ok(bytes) => ((path, None), Bytes::from(bytes)),
            Err(error) => ((path, Some(error)), Bytes::new()),
        });
        let answers = stream::iter(uploads)
            .map(|(file, bytes)| async { (file, answer(pipeline, bytes, args).await) })
            .buffered(pipeline.at_once());
        pin_mut!(answers);
        while let Some(((path, unreadable), answer)) = answers.next().await {
            let outcome = match (unreadable, answer) {
                (Some(error), _) => {
                    FileOutcome::Failed { error: format!("cannot be read: {error}") }
                }
                (None, Err(error)) => FileOutcome::Failed { error: error.to_string() },
                (None, Ok(answered)) => self.outcome(path, answered)?,
            };
            let file = path.to_string_lossy().into_owned();
            if self.write(&Record { file, outcome })? == WriteOutcome::ReaderClosed {
                return Ok(WriteOutcome::ReaderClosed);
            }
        }
        Ok(WriteOutcome::All)
    }

    fn outcome(&mut self, path: &Path, answered: ClassifiedImage) -> Result<FileOutcome> {
        let ClassifiedImage { classification, overlay } = answered;
        let unsure = classification.is_unsure(self.pipeline.card());
        let (predictions, postprocessed) =
            self.pipeline.postprocess(&self.postprocess, &classification);
        let image = classification.image;
        let write = |png: Bytes| self.overlays.write(path, &predictions[0].label, &png);
        let explanation = overlay.map(write).transpose()?;
        Ok(FileOutcome::Classified { predictions, image, unsure, explanation, postprocessed })
    }

    /// Writes the lines of an image. Failures are written to standard error, and not to a file.
    fn write(&mut self, record: &Record) -> Result<WriteOutcome> {
        let Self { layout, sink, bar, failed, .. } = self;
        let written = bar.suspend(|| {
            if let FileOutcome::Failed { error } = &record.outcome {
                *failed += 1;
                output::error_line(format!("{}: {error}", record.file));
                if matches!(sink, Sink::File(_)) {
                    return Ok(WriteOutcome::All);
                }
            }
            sink.write(&layout.lines(record)?)
        });
        bar.inc(1);
        written
    }
}

/// The image at `path`, or from standard input.
fn read(path: &Path, args: &ClassifyArgs) -> io::Result<Vec<u8>> {
    if path.as_os_str() != STDIN {
        return fs::read(path);
    }
    let mut bytes = Vec::new();
    // One byte more than the limit suffices for the error.
    let most = args.limits.max_bytes.as_u64().saturating_add(1);
    io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The classes of an image, and with --explain the overlay of the best class's map.
struct ClassifiedImage {
    classification: Classification,
    overlay: Option<Bytes>,
}

fn probability(typed: &str) -> Result<f32, String> {
    match typed.parse() {
        Ok(probability) if (0.0..=1.0).contains(&probability) => Ok(probability),
        _ => Err("it must be a probability from 0 to 1".to_owned()),
    }
}

async fn answer(
    pipeline: &Pipeline,
    bytes: Bytes,
    args: &ClassifyArgs,
) -> Result<ClassifiedImage, ClassifyError> {
    let context = local::context();
    if args.explain.is_none() {
        let classification = pipeline.classify(bytes, &context).await?;
        return Ok(ClassifiedImage { classification, overlay: None });
    }
    let Explained { classification, explanation } =
        pipeline.explain(bytes.clone(), Maps::BestOf(&[]), &context).await?;
    let png = pipeline.overlay(bytes, explanation, &context).await?;
    Ok(ClassifiedImage { classification, overlay: Some(png) })
}
