//! Detects changed files and reloads them without a restart.
//!
//! The files are checked once a second. This also works on network file systems, and for files that are
//! replaced through a symbolic link, such as mounted Kubernetes secrets.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Interval of the checks.
const PERIOD: Duration = Duration::from_secs(1);

/// Files, and their state when they were last read.
#[derive(Debug)]
pub(super) struct WatchedFiles {
    paths: Vec<PathBuf>,
    last: Mutex<Vec<Option<Stamp>>>,
}

/// Practically unique for each content: device, inode, length, and modification time in nanoseconds.
type Stamp = (u64, u64, u64, i64);

impl WatchedFiles {
    /// The current state of files that will be read now.
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        let last = Mutex::new(paths.iter().map(stamp).collect());
        Self { paths, last }
    }

    /// Whether a file has changed since the last call.
    fn changed(&self) -> bool {
        let now: Vec<_> = self.paths.iter().map(stamp).collect();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *last != now;
        *last = now;
        changed
    }
}

fn stamp(path: &PathBuf) -> Option<Stamp> {
    let of = fs::metadata(path).ok()?;
    let nanoseconds = of.mtime().wrapping_mul(1_000_000_000).wrapping_add(of.mtime_nsec());
    Some((of.dev(), of.ino(), of.len(), nanoseconds))
}

/// A value read from files.
pub(super) trait Reload: Send + Sync + 'static {
    /// Its files.
    fn files(&self) -> &WatchedFiles;

    /// Reads the files and replaces the value, or keeps it if they are invalid. Logs the result.
    fn reload(&self);
}

/// Reloads `value` whenever its files change; never ends.
pub(super) async fn keep_current(value: Arc<impl Reload>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let value = Arc::clone(&value);
        let check = move || {
            if value.files().changed() {
                value.reload();
            }
        };
        // Files may be on a slow disk. A panic is logged, and does not prevent the next check.
        let _ = tokio::task::spawn_blocking(check).await;
    }
}
