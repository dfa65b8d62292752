//! The cache, with the layout of `huggingface_hub`, so that both programs find each other's files:
//!
//! ```text
//! models--owner--name/blobs/HASH                   the files, by their hash
//!                     snapshots/COMMIT/config.json a link to one of them
//!                     refs/main                    the commit of the branch `main` at its last download
//!                     .resnetd/COMMIT              empty; resnetd has downloaded all files of the commit
//! ```
//!
//! `huggingface_hub` downloads single files in any order, so a snapshot with weights may lack the files that describe
//! them. The last entry, which that program ignores, shows that none is missing.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::choice::weights;
use super::{HubError, HubId};

/// The part of the cache for one repository.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    locks: PathBuf,
}

impl Cache {
    pub(super) fn of(root: &Path, id: &HubId) -> Self {
        let name = format!("models--{}", id.repository.replace('/', "--"));
        Self { folder: root.join(&name), locks: root.join(".locks").join(&name) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of the file with this hash.
    pub(super) fn blob(&self, hash: &str) -> PathBuf {
        self.folder.join("blobs").join(hash)
    }

    /// The commit of a branch or tag at its last download.
    fn commit_of(&self, revision: &str) -> Option<String> {
        let commit = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(commit.trim().to_owned())
    }

    /// Stores the commit of a revision.
    pub(super) fn remember(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        let path = self.folder.join("refs").join(revision);
        if revision == commit || self.commit_of(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let failed = |source| HubError::Cache { path: path.clone(), source };
        let parent = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(failed)?;
        // Readable for other users of the cache, as the downloaded files are.
        let permissions = fs::Permissions::from_mode(0o666); // minus the umask
        let mut file = tempfile::Builder::new()
            .permissions(permissions)
            .tempfile_in(parent)
            .map_err(failed)?;
        io::Write::write_all(&mut file, commit.as_bytes()).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The snapshot of a commit, if all of its files were downloaded.
    pub(super) fn complete(&self, commit: &str) -> Option<PathBuf> {
        self.mark(commit).is_file().then(|| self.with_weights(commit)).flatten()
    }

    /// Records that all files of a commit were downloaded.
    pub(super) fn set_complete(&self, commit: &str) {
        let mark = self.mark(commit);
        let folder = mark.parent().unwrap_or(&self.folder);
        // A cache that cannot be written can still be used; the next start asks the hub again.
        let _ = fs::create_dir_all(folder).and_then(|()| fs::File::create(&mark));
    }

    fn mark(&self, commit: &str) -> PathBuf {
        self.folder.join(".resnetd").join(commit)
    }

    /// The snapshot at the last download of a revision, if it has weights. Its other files may be missing.
    pub(super) fn last(&self, id: &HubId) -> Option<PathBuf> {
        let commit =
            if id.is_commit() { id.revision.clone() } else { self.commit_of(&id.revision)? };
        self.with_weights(&commit)
    }

    /// The snapshot of a commit, if it has weights.
    pub(super) fn with_weights(&self, commit: &str) -> Option<PathBuf> {
        let whole = |name: &str| {
            if name.ends_with(".index.json") {
                let parts = parts(&self.place(commit, name));
                parts.is_some_and(|parts| parts.iter().all(|part| self.has(commit, part)))
            } else {
                self.has(commit, name)
            }
        };
        weights().any(whole).then(|| self.snapshot(commit))
    }

    /// Whether a file of a commit is in the cache. The files of a commit never change.
    pub(super) fn has(&self, commit: &str, file: &str) -> bool {
        self.place(commit, file).is_file()
    }

    fn place(&self, commit: &str, file: &str) -> PathBuf {
        self.snapshot(commit).join(file)
    }

    fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Links `file` of a commit to the blob with this hash.
    pub(super) fn link(&self, commit: &str, file: &str, hash: &str) -> Result<(), HubError> {
        let path = self.place(commit, file);
        // One more `../` for each folder in the file's path.
        let up = "../".repeat(2 + file.matches('/').count());
        let target = Path::new(&up).join("blobs").join(hash);
        if fs::read_link(&path).is_ok_and(|old| old == target) {
            return Ok(());
        }
        let failed = |source| HubError::Cache { path: path.clone(), source };
        fs::create_dir_all(path.parent().unwrap_or(&self.folder)).map_err(failed)?;
        // A link cannot be overwritten, so a new one is created and renamed.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let _ = fs::remove_file(&aside);
        std::os::unix::fs::symlink(&target, &aside).map_err(failed)?;
        fs::rename(&aside, &path).map_err(failed)
    }

    /// Waits until no other program downloads the file with this hash. Dropping the value releases the lock.
    pub(super) fn lock(&self, hash: &str) -> Result<fs::File, HubError> {
        let path = self.locks.join(format!("{hash}.lock"));
        let failed = |source| HubError::Cache { path: path.clone(), source };
        for folder in [&self.locks, &self.folder.join("blobs")] {
            fs::create_dir_all(folder)
                .map_err(|source| HubError::Cache { path: folder.clone(), source })?;
        }
        let file = fs::File::create(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }
}

/// The files that an index lists.
fn parts(index: &Path) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct WeightMap {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let WeightMap { weight_map } = serde_json::from_slice(&fs::read(index).ok()?).ok()?;
    Some(weight_map.into_values().collect())
}
