//! A model repository: a folder with one subfolder per model, as in Triton and TensorFlow Serving.
//!
//! A model's folder contains the model itself, or numbered folders with its versions. Names that begin with a
//! dot are skipped. Symbolic links are followed, so that Kubernetes' atomic swap of a link is a single
//! change.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Version;

/// Maximum depth of folders whose files are part of a model.
const DEPTH: usize = 4;

/// A version of a model in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name of the model's folder.
    pub name: String,
    /// The name of the version's folder, or 1.
    pub version: Version,
    /// The folder with the model.
    pub folder: PathBuf,
    /// Hash that changes when a file changes.
    pub fingerprint: u64,
}

/// The `most` highest versions of every model in `folder`, by name.
///
/// # Errors
///
/// If `folder` cannot be read. A model that cannot be read, or disappears during the scan, is omitted.
pub fn scan(folder: &Path, most: usize) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for (name, model) in folders(folder)? {
        let mut versions: Vec<_> = folders(&model)
            .unwrap_or_default()
            .into_iter()
            .filter(|(version, _)| version.parse::<u64>().is_ok())
            .map(|(version, folder)| (Version::new(&version), folder))
            .collect();
        if versions.is_empty() {
            versions.push((Version::only(), model));
        }
        versions.sort_by(|(own, _), (other, _)| other.cmp(own));
        for (version, folder) in versions.into_iter().take(most) {
            let Ok(fingerprint) = fingerprint(&folder) else { continue };
            found.push(Found { name: name.clone(), version, folder, fingerprint });
        }
    }
    Ok(found)
}

/// The folders in `folder`, by name.
fn folders(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.is_empty() && !name.starts_with('.') && path.is_dir() {
            folders.push((name.to_owned(), path));
        }
    }
    folders.sort();
    Ok(folders)
}

/// A hash that changes when the file at `path`, or a file in the folder `path`, changes.
///
/// # Errors
///
/// If it cannot be read.
pub fn fingerprint(path: &Path) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    if path.is_dir() {
        hash_files(path, DEPTH, &mut hasher)?;
    } else {
        hash_file(&fs::metadata(path)?, &mut hasher);
    }
    Ok(hasher.finish())
}

fn hash_files(folder: &Path, depth: usize, hasher: &mut DefaultHasher) -> io::Result<()> {
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    for path in paths {
        let about = fs::metadata(&path)?;
        path.file_name().hash(hasher);
        if about.is_dir() {
            if depth > 1 {
                hash_files(&path, depth - 1, hasher)?;
            }
        } else {
            hash_file(&about, hasher);
        }
    }
    Ok(())
}

fn hash_file(about: &fs::Metadata, hasher: &mut DefaultHasher) {
    let times = (about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec());
    (about.len(), about.ino(), about.dev(), times).hash(hasher);
}

/// Ignores changes while files are still being written: a change is accepted when two consecutive scans
/// agree.
#[derive(Debug, Default)]
pub struct Settled {
    /// `None` before the first scan.
    last_scan: Option<Vec<Found>>,
    accepted: Vec<Found>,
}

impl Settled {
    /// The accepted versions, given the result `now` of a scan. The first scan is accepted at once.
    pub fn update(&mut self, now: Vec<Found>) -> Vec<Found> {
        let mut settled = Vec::new();
        for found in &now {
            let same = |other: &&Found| other.name == found.name && other.version == found.version;
            if self.last_scan.as_ref().is_none_or(|last_scan| last_scan.contains(found)) {
                settled.push(found.clone());
            } else if let Some(before) = self.accepted.iter().find(same) {
                settled.push(before.clone());
            }
        }
        // A version that a new one replaces is kept until the new one is accepted, even if its folder is
        // gone: it is still loaded.
        for before in &self.accepted {
            let name_is_unsettled = now.iter().any(|found| found.name == before.name)
                && !settled.iter().any(|found| found.name == before.name);
            if name_is_unsettled {
                settled.push(before.clone());
            }
        }
        self.last_scan = Some(now);
        self.accepted.clone_from(&settled);
        settled
    }
}

/// Ignores changes of a model's files while they are still being written: a fingerprint is accepted when two consecutive
/// scans agree.
#[derive(Debug, Default)]
pub struct SettledFiles {
    of: HashMap<String, Fingerprints>,
}

/// Fingerprints of the files of one model.
#[derive(Debug)]
struct Fingerprints {
    last_scan: u64,
    accepted: u64,
}

impl SettledFiles {
    /// The accepted fingerprint of the `model`, given the result `now` of a scan. The first one is accepted at once.
    pub fn update(&mut self, model: &str, now: u64) -> u64 {
        let first = Fingerprints { last_scan: now, accepted: now };
        let fingerprints = self.of.entry(model.to_owned()).or_insert(first);
        if fingerprints.last_scan == now {
            fingerprints.accepted = now;
        }
        fingerprints.last_scan = now;
        fingerprints.accepted
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn models_and_their_highest_versions_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(&root.join("pets/card.toml"), "a");
        for version in ["1", "2", "10"] {
            write(&root.join("cars").join(version).join("model.onnx"), "b");
        }
        write(&root.join(".git/config"), "c");
        write(&root.join("notes.txt"), "d");
        let named = |most| -> Vec<String> {
            let found = scan(root, most).unwrap();
            found.iter().map(|found| format!("{} {}", found.name, found.version)).collect()
        };
        assert_eq!(named(1), ["cars 10", "pets 1"]);
        assert_eq!(named(2), ["cars 10", "cars 2", "pets 1"]);
        assert!(scan(&root.join("missing"), 1).is_err());
    }

    #[test]
    fn a_changed_file_and_a_swapped_link_change_the_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("models");
        for revision in ["a", "b"] {
            write(&dir.path().join(revision).join("card.toml"), "the same text");
        }
        fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink(dir.path().join("a"), root.join("pets")).unwrap();
        let first = scan(&root, 1).unwrap();
        assert_eq!(first, scan(&root, 1).unwrap());
        std::os::unix::fs::symlink(dir.path().join("b"), root.join("next")).unwrap();
        fs::rename(root.join("next"), root.join("pets")).unwrap();
        let second = scan(&root, 1).unwrap();
        assert_ne!(first[0].fingerprint, second[0].fingerprint);
        write(&dir.path().join("b/card.toml"), "another text");
        assert_ne!(second[0].fingerprint, scan(&root, 1).unwrap()[0].fingerprint);
    }

    #[test]
    fn files_that_are_being_written_are_unchanged_until_they_are_complete() {
        let mut settled = SettledFiles::default();
        let scans = [1, 2, 3, 3, 3].map(|now| settled.update("pets.onnx", now));
        assert_eq!(scans, [1, 1, 1, 3, 3]);
        assert_eq!(settled.update("cars.onnx", 4), 4, "a new model is loaded at once");
    }

    #[test]
    fn a_model_that_is_being_written_is_unchanged_until_it_is_complete() {
        let found = |version: &str, fingerprint| Found {
            name: "pets".to_owned(),
            version: Version::new(version),
            folder: PathBuf::from("/"),
            fingerprint,
        };
        let mut settled = Settled::default();
        assert_eq!(settled.update(vec![found("1", 1)]), [found("1", 1)]);
        assert_eq!(settled.update(vec![found("1", 2)]), [found("1", 1)], "half written");
        assert_eq!(settled.update(vec![found("1", 3)]), [found("1", 1)], "still being written");
        assert_eq!(settled.update(vec![found("1", 3)]), [found("1", 3)]);
        assert_eq!(settled.update(vec![found("2", 4)]), [found("1", 3)], "a new version");
        assert_eq!(settled.update(vec![found("2", 4)]), [found("2", 4)]);
        assert_eq!(settled.update(vec![]), []);
        assert_eq!(
            settled.update(vec![found("5", 5)]),
            [],
            "only the first scan is accepted at once"
        );
        assert_eq!(settled.update(vec![found("5", 5)]), [found("5", 5)]);
        assert_eq!(settled.update(vec![found("4", 6)]), [found("5", 5)], "the higher one is gone");
        assert_eq!(settled.update(vec![found("4", 6)]), [found("4", 6)]);
    }
}
