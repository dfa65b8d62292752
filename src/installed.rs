//! Where files lie that come with the program and are not in it.

use std::collections::HashSet;
use std::path::PathBuf;

/// Folders in which such files may be, the first that counts first: `installed`, each relative to the
/// folder of the executable (as installed, and in the container), then `in_checkout` in every folder
/// above the executable and above the working directory.
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
