//! The output formats of `resnetd classify`.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use super::super::output;
use super::postprocess;
use crate::pipeline::ImageFacts;
use crate::pipeline::postprocess::Postprocessed;
use crate::pipeline::topk::Prediction;

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// One line per image, for people
    Text,
    /// One table of classes per image, with a bar for each probability
    Table,
    /// Tab-separated values with a header, one line per image
    Tsv,
    /// Comma-separated values with a header, one line per image
    Csv,
    /// One JSON object per line and image
    Jsonl,
}

/// An image and its result.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) file: String,
    pub(super) outcome: FileOutcome,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum FileOutcome {
    Classified {
        predictions: Vec<Prediction>,
        image: ImageFacts,
        #[serde(skip)]
        unsure: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        explanation: Option<PathBuf>,
        #[serde(flatten)]
        postprocessed: Postprocessed,
    },
    Failed {
        error: String,
    },
}

/// The format, and what is the same for all lines of a run.
#[derive(Debug)]
pub(super) struct OutputLayout {
    pub(super) format: OutputFormat,
    /// Number of classes that have columns.
    pub(super) classes: usize,
    pub(super) model: String,
    /// SHA-256 of the model's graph.
    pub(super) digest: String,
}

/// One line of JSON, for one image.
#[derive(Serialize)]
struct JsonLine<'a> {
    file: &'a str,
    #[serde(flatten)]
    outcome: &'a FileOutcome,
    model: &'a str,
    digest: &'a str,
}

impl OutputLayout {
    /// The header line, if the format has one.
    pub(super) fn header(&self) -> Option<String> {
        self.separator()?;
        let columns = ["file", "width", "height", "format", "unsure"].map(str::to_owned);
        let classes = (1..=self.classes)
            .flat_map(|rank| [format!("label_{rank}"), format!("probability_{rank}")]);
        Some(self.row(columns.into_iter().chain(classes)))
    }

    /// The lines for `record`. Failed images have a line only in JSON.
    pub(super) fn lines(&self, record: &Record) -> Result<String, serde_json::Error> {
        let Record { file, outcome } = record;
        Ok(match (self.format, outcome) {
            (OutputFormat::Jsonl, _) => {
                let Self { model, digest, .. } = self;
                serde_json::to_string(&JsonLine { file, outcome, model, digest })? + "\n"
            }
            (_, FileOutcome::Failed { .. }) => String::new(),
            (OutputFormat::Text, FileOutcome::Classified { .. }) => text(record),
            (OutputFormat::Table, FileOutcome::Classified { .. }) => table(record),
            (OutputFormat::Tsv | OutputFormat::Csv, FileOutcome::Classified { .. }) => {
                self.row(self.cells(record))
            }
        })
    }

    /// `text` in the encoding of the format.
    pub(super) fn cell(&self, text: &str) -> String {
        match self.format {
            OutputFormat::Csv => quoted(&plain(text)),
            OutputFormat::Text | OutputFormat::Table | OutputFormat::Tsv => plain(text),
            OutputFormat::Jsonl => text.to_owned(),
        }
    }

    /// The column separator, if the format has columns.
    pub(super) fn separator(&self) -> Option<&'static str> {
        match self.format {
            OutputFormat::Tsv => Some("\t"),
            OutputFormat::Csv => Some(","),
            OutputFormat::Text | OutputFormat::Table | OutputFormat::Jsonl => None,
        }
    }

    fn row(&self, cells: impl Iterator<Item = String>) -> String {
        let cells: Vec<String> = cells.map(|cell| self.cell(&cell)).collect();
        cells.join(self.separator().unwrap_or_default()) + "\n"
    }

    fn cells(&self, record: &Record) -> impl Iterator<Item = String> {
        let mut cells = vec![record.file.clone()];
        if let FileOutcome::Classified { predictions, image, unsure, .. } = &record.outcome {
            let ImageFacts { width, height, format } = image;
            cells.extend([width.to_string(), height.to_string(), format.to_string()]);
            cells.push(unsure.to_string());
            for Prediction { label, probability, .. } in predictions {
                cells.extend([label.clone(), probability.to_string()]);
            }
        }
        cells.resize(5 + 2 * self.classes, String::new());
        cells.into_iter()
    }
}

/// Replaces control characters, such as the ends of lines and columns.
fn plain(cell: &str) -> String {
    cell.replace(char::is_control, " ")
}

/// A cell of a CSV file, as in RFC 4180.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// `cat.jpg: cat 99.86 %, dog 0.07 %`.
fn text(Record { file, outcome }: &Record) -> String {
    let FileOutcome::Classified { predictions, unsure, explanation, postprocessed, .. } = outcome
    else {
        return String::new();
    };
    let percent = |probability: f64| format!("{:.2} %", probability * 100.0);
    let classes: Vec<String> = predictions
        .iter()
        .map(|Prediction { label, probability, .. }| {
            format!("{label} {}", percent(f64::from(*probability)))
        })
        .collect();
    let mut parts = vec![match classes.as_slice() {
        [] => "no class reaches the threshold".to_owned(),
        classes => classes.join(", "),
    }];
    parts.extend(postprocess::coverage(postprocessed));
    let wider: Vec<String> = postprocess::wider(postprocessed)
        .map(|rung| format!("{} {}", rung.label, percent(rung.probability)))
        .collect();
    if !wider.is_empty() {
        parts.push(format!("wider: {}", wider.join(", ")));
    }
    parts.extend(explanation.as_ref().map(|path| format!("map: {}", path.display())));
    let unsure = if *unsure { "not sure: " } else { "" };
    plain(&format!("{file}: {unsure}{}", parts.join("; "))) + "\n"
}

fn table(Record { file, outcome }: &Record) -> String {
    let FileOutcome::Classified { predictions, image, unsure, explanation, postprocessed } =
        outcome
    else {
        return String::new();
    };
    let ImageFacts { width, height, format } = image;
    let unsure = if *unsure { ": not sure" } else { "" };
    let mut lines = vec![format!("{file} ({format} {width}×{height}){unsure}")];
    if predictions.is_empty() {
        lines.push("no class reaches the threshold".to_owned());
    }
    let mut table = output::table(&[]);
    for Prediction { label, probability, .. } in predictions {
        let percent = format!("{:6.2} %", f64::from(*probability) * 100.0);
        table.add_row([percent, bar_of(*probability), label.clone()]);
    }
    lines.push(table.trim_fmt());
    lines.extend(postprocess::coverage(postprocessed));
    for rung in postprocess::wider(postprocessed) {
        let percent = rung.probability * 100.0;
        lines.push(format!("{percent:6.2} %  {} ({} classes)", rung.label, rung.classes));
    }
    lines.extend(explanation.as_ref().map(|path| format!("map: {}", path.display())));
    lines.into_iter().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{line}"); // writing to a String cannot fail
        all
    })
}

/// A bar of 0 to 20 characters; empty if the output is not a terminal.
fn bar_of(probability: f32) -> String {
    if !io::stdout().is_terminal() {
        return String::new();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 20")]
    let length = (probability.clamp(0.0, 1.0) * 20.0).round() as usize;
    format!("{:20}", "█".repeat(length))
}
