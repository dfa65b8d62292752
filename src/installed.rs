//! Locates files that are installed with the program.

use std::collections::HashSet;
use std::path::PathBuf;

/// Folders in which such files may be, in order of precedence: each of `installed`, relative to the
/// executable's folder (for installations and containers), then `in_checkout` in each parent folder
/// of the executable and of the working directory.
pub(crate) fn folders(installed: &[&str], in_checkout: &str) -> Vec<PathBuf> {
    let executable = std::env::current_exe().and_then(|path| path.canonicalize()).ok();
    let beside = executable.as_deref().and_then(|path| path.parent());
    let working = std::env::current_dir().ok();
    let above = beside.into_iter().chain(working.as_deref()).flat_map(|folder| folder.ancestors());
    let mut folders: Vec<PathBuf> = beside
        .into_iter()
        .flat_map(|folder| installed.iter().map(|part| folder.join(part)))
        .chain(above.map(|folder| folder.join(in_checkout)))
        .collect();
    let mut seen = HashSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
}
