//! The files that `--explain` writes.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::super::files;

/// A folder for overlays; no two pictures of a run get the same name.
pub(super) struct Overlays {
    folder: PathBuf,
    taken: HashSet<String>,
}

impl Overlays {
    /// Makes the folder, if one is wanted and it is not there.
    pub(super) fn into(folder: Option<PathBuf>) -> Result<Self> {
        if let Some(folder) = &folder {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        Ok(Self { folder: folder.unwrap_or_default(), taken: HashSet::new() })
    }

    /// Writes the overlay of `picture`, which shows `label`; returns where.
    pub(super) fn write(&mut self, picture: &Path, label: &str, png: &[u8]) -> Result<PathBuf> {
        let stem = picture.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{stem}.{}", plain(label));
        let numbered = (2_u32..).map(|number| format!("{name}.{number}"));
        let free = std::iter::once(name.clone())
            .chain(numbered)
            .find(|name| !self.taken.contains(name))
            .unwrap_or(name);
        let path = self.folder.join(format!("{free}.png"));
        self.taken.insert(free);
        files::write_atomically(&path, png)?;
        Ok(path)
    }
}

/// A label as part of a file's name: `tench, Tinca tinca` as `tench-Tinca-tinca`.
fn plain(label: &str) -> String {
    let words: Vec<&str> =
        label.split(|letter: char| !letter.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.join("-")
}
