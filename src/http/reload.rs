//! Notices that files have changed, so that they are read again without a restart.
//!
//! The files are looked at once a second. This also works on network file systems, and where a file is
//! replaced through a symbolic link, as in a mounted Kubernetes secret.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The interval of the looks.
const PERIOD: Duration = Duration::from_secs(1);

/// Files, and how they were when they were last read.
#[derive(Debug)]
pub(super) struct WatchedFiles {
    paths: Vec<PathBuf>,
    seen: Mutex<Vec<Option<Stamp>>>,
}

/// Differs for different contents, in practice: device, inode, length, and time of change in nanoseconds.
type Stamp = (u64, u64, u64, i64);

impl WatchedFiles {
    /// Files that are about to be read for the first time.
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        let seen = Mutex::new(paths.iter().map(stamp).collect());
        Self { paths, seen }
    }

    /// Whether a file has changed since the last call.
    fn changed(&self) -> bool {
        let now: Vec<_> = self.paths.iter().map(stamp).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *seen != now;
        *seen = now;
        changed
    }
}

fn stamp(path: &PathBuf) -> Option<Stamp> {
    let of = fs::metadata(path).ok()?;
    let nanoseconds = of.mtime().wrapping_mul(1_000_000_000).wrapping_add(of.mtime_nsec());
    Some((of.dev(), of.ino(), of.len(), nanoseconds))
}

/// A value that was read from files.
pub(super) trait Reload: Send + Sync + 'static {
    /// Its files.
    fn files(&self) -> &WatchedFiles;

    /// Reads them again and replaces the value, or keeps it if they are invalid. Logs which of the two.
    fn reload(&self);
}

/// Reloads `value` whenever its files change, for ever.
pub(super) async fn keep_current(value: Arc<impl Reload>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let value = Arc::clone(&value);
        let look = move || {
            if value.files().changed() {
                value.reload();
            }
        };
        // Files may be on a slow disk. A panic in it is logged, and the next look comes all the same.
        let _ = tokio::task::spawn_blocking(look).await;
    }
}
