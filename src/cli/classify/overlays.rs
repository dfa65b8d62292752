//! The files that `--explain` writes.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::super::files;

/// A folder for overlays, with a unique name for each image of a run.
pub(super) struct Overlays {
    folder: PathBuf,
    used: HashSet<String>,
}

impl Overlays {
    /// Creates the folder if necessary.
    pub(super) fn into(folder: Option<PathBuf>) -> Result<Self> {
        if let Some(folder) = &folder {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create the folder {}", folder.display()))?;
        }
        Ok(Self { folder: folder.unwrap_or_default(), used: HashSet::new() })
    }

    /// Writes the overlay of `image` for the class `label`; returns its path.
    pub(super) fn write(&mut self, image: &Path, label: &str, png: &[u8]) -> Result<PathBuf> {
        let stem = image.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{stem}.{}", plain(label));
        let numbered = (2_u32..).map(|number| format!("{name}.{number}"));
        let free = std::iter::once(name.clone())
            .chain(numbered)
            .find(|name| !self.used.contains(name))
            .unwrap_or(name);
        let path = self.folder.join(format!("{free}.png"));
        self.used.insert(free);
        files::write_atomically(&path, png)?;
        Ok(path)
    }
}

/// A label as part of a file name: `tench, Tinca tinca` becomes `tench-Tinca-tinca`.
fn plain(label: &str) -> String {
    let words: Vec<&str> =
        label.split(|letter: char| !letter.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.join("-")
}
