//! Destination of `resnetd classify`: standard output, or a file that a later run can continue.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::format::{OutputFormat, OutputLayout};

/// Writes whole lines.
#[derive(Debug)]
pub(super) enum Sink {
    Stdout,
    File(LineFile),
}

/// A file with whole lines only.
#[derive(Debug)]
pub(super) struct LineFile {
    path: PathBuf,
    file: File,
    /// Length of the file up to the last whole line.
    length: u64,
}

/// The result of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    All,
    /// The reader of standard output has closed it, for example `head`.
    ReaderClosed,
}

impl Sink {
    /// Writes `lines`, which end with a line break; a file has them when this returns.
    pub(super) fn write(&mut self, lines: &str) -> Result<WriteOutcome> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                match out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
                    Ok(()) => Ok(WriteOutcome::All),
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                        Ok(WriteOutcome::ReaderClosed)
                    }
                    Err(error) => Err(error).context("cannot write to standard output"),
                }
            }
            Self::File(file) => file.add(lines).map(|()| WriteOutcome::All),
        }
    }
}

impl LineFile {
    /// Creates or truncates the file.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(cannot_write(path))?;
        Ok(Self { path: path.to_owned(), file, length: 0 })
    }

    /// Opens a file to continue, and returns the images for which it has lines. An incomplete last line is
    /// removed.
    pub(super) fn resume(path: &Path, layout: &OutputLayout) -> Result<(Self, HashSet<String>)> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path);
        let file = file.with_context(cannot_write(path))?;
        let mut completed = CompletedImages { layout, files: HashSet::new() };
        let mut reader = BufReader::new(&file);
        let (mut length, mut line) = (0, Vec::new());
        for number in 1.. {
            line.clear();
            let cannot_read = || format!("cannot read {}", path.display());
            let read = reader.read_until(b'\n', &mut line).with_context(cannot_read)?;
            let Some((b'\n', text)) = line.split_last() else { break };
            completed.add(number, &String::from_utf8_lossy(text)).with_context(|| {
                format!("{}, line {number}, cannot be continued", path.display())
            })?;
            length += read as u64;
        }
        file.set_len(length).with_context(cannot_write(path))?;
        let files = completed.files;
        Ok((Self { path: path.to_owned(), file, length }, files))
    }

    /// Whether the file has no lines.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds whole lines: all of them, or none on an error.
    fn add(&mut self, lines: &str) -> Result<()> {
        if let Err(error) = self.file.write_all(lines.as_bytes()) {
            let _ = self.file.set_len(self.length); // report only the first error
            return Err(error).with_context(cannot_write(&self.path));
        }
        self.length += lines.len() as u64;
        Ok(())
    }
}

fn cannot_write(path: &Path) -> impl Fn() -> String {
    move || format!("cannot write {}", path.display())
}

/// Images that an earlier run has completed.
struct CompletedImages<'a> {
    layout: &'a OutputLayout,
    /// In the encoding of the format.
    files: HashSet<String>,
}

/// The fields of a JSON line that matter for continuing.
#[derive(Deserialize)]
struct EarlierLine {
    file: String,
    digest: Option<String>,
    error: Option<IgnoredAny>,
}

impl CompletedImages<'_> {
    fn add(&mut self, number: usize, line: &str) -> Result<()> {
        let file = match self.layout.format {
            OutputFormat::Jsonl => {
                let EarlierLine { file, digest, error } = serde_json::from_str(line)
                    .context("it is not a line that resnetd classify writes")?;
                let OutputLayout { model, digest: ours, .. } = self.layout;
                ensure!(
                    digest.as_ref().is_none_or(|digest| digest == ours),
                    "it was written with another model than {model}; use the same --model and \
                     --precision, or another --output"
                );
                if error.is_some() {
                    return Ok(()); // the image is classified again
                }
                file
            }
            OutputFormat::Tsv | OutputFormat::Csv if number == 1 => {
                let header = self.layout.header().unwrap_or_default();
                ensure!(
                    line == header.trim_end_matches('\n'),
                    "its columns are {line} instead of {}; use the same --format and --top-k, or \
                    another --output",
                    header.trim_end()
                );
                return Ok(());
            }
            OutputFormat::Tsv => line.split('\t').next().unwrap_or_default().to_owned(),
            OutputFormat::Csv => first_of_csv(line).to_owned(),
            OutputFormat::Text | OutputFormat::Table => {
                bail!("--resume needs --format tsv, csv or jsonl")
            }
        };
        self.files.insert(file);
        Ok(())
    }
}

/// The first cell of a CSV line, including its quotes.
fn first_of_csv(line: &str) -> &str {
    let mut is_quoted = false;
    let end = line.find(|letter| {
        is_quoted ^= letter == '"';
        letter == ',' && !is_quoted
    });
    &line[..end.unwrap_or(line.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cell_of_a_line_of_csv_may_have_commas_and_quotes() {
        for (line, cell) in [
            ("a.jpg,1,2", "a.jpg"),
            ("\"a, b.jpg\",1", "\"a, b.jpg\""),
            ("\"a \"\"b\"\", c\",1", "\"a \"\"b\"\", c\""),
            ("a.jpg", "a.jpg"),
        ] {
            assert_eq!(first_of_csv(line), cell);
        }
    }
}
